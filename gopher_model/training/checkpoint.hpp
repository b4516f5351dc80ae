// Checkpoints of a run: one safetensors file with the model, the optimizer's state, the tokenizer, and where
// the run stands.
#pragma once

#include <burrow/io/model.hpp>
#include <burrow/optim/update.hpp>

#include "gopher_model/model/configuration.hpp"
#include "gopher_model/training/run_identity.hpp"

namespace gopher {

/// Where a run stands between two steps. Everything else follows from the seed and these numbers.
struct TrainingState {
  Index step = 0;         ///< steps done
  Index tokens = 0;       ///< taken by them
  Index sample = 0;       ///< number of the next training sample
  Index total_steps = 0;  ///< of the whole run; 0: not yet known
  Index skipped = 0;      ///< steps left out because their gradient was not finite
  double elapsed = 0;     ///< seconds of training, all sessions together
};

/// The metadata of a checkpoint.
std::map<std::string, std::string> checkpoint_metadata(const ModelSize& size, Precision precision,
                                                       const TrainingState& state,
                                                       const RunIdentity& identity);

/// What the metadata of a checkpoint say. Throws IoError "<path>: ..." where they are not those of a Gopher
/// checkpoint.
struct CheckpointDescription {
  ModelSize size;
  Precision precision = Precision::float32;
  TrainingState state;
  RunIdentity identity;
};
CheckpointDescription describe_checkpoint(const burrow::SafetensorsFile& file);

/// The tensor that holds the serialized tokenizer.
inline constexpr std::string_view tokenizer_tensor = "tokenizer.model";
/// What the names of the optimizer's tensors start with.
inline constexpr std::string_view optimizer_prefix = "optimizer.";

/// Writes a checkpoint, whole or not at all. Throws IoError.
template <class Model, class C>
void write_checkpoint(const std::filesystem::path& path, const Model& model,
                      const burrow::OptimizerState<C>& optimizer, const std::string& tokenizer,
                      const std::map<std::string, std::string>& metadata) {
  auto entries = burrow::tensor_entries(model, burrow::parameters(model).values());
  for (const auto& part : optimizer.values) {
    auto more = burrow::tensor_entries(model, part, std::string(optimizer_prefix));
    entries.insert(entries.end(), more.begin(), more.end());
  }
  const std::span<const std::uint8_t> bytes{reinterpret_cast<const std::uint8_t*>(tokenizer.data()),
                                            tokenizer.size()};
  entries.push_back(burrow::tensor_entry<std::uint8_t>(std::string(tokenizer_tensor),
                                                       {static_cast<Index>(tokenizer.size())}, bytes));
  burrow::write_safetensors(path, entries, metadata);
}

/// Reads a checkpoint's model and optimizer's state back, bit for bit.
template <class Model, class C>
void read_checkpoint(const burrow::SafetensorsFile& file, Model& model,
                     const burrow::OptimizerState<C>& optimizer) {
  burrow::read_tensors(file, model, burrow::parameters(model).values());
  for (const auto& part : optimizer.values)
    burrow::read_tensors(file, model, part, std::string(optimizer_prefix));
  optimizer.steps = describe_checkpoint(file).state.step - describe_checkpoint(file).state.skipped;
}

}  // namespace gopher
