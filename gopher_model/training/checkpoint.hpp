// Checkpoints of a run: the model, the optimizer's state, the tokenizer, and where the run stands. They hold
// logical tensors, so that a run goes on with any number of ranks, on any mesh.
#pragma once

#include <burrow/distributed/sharded.hpp>

#include "gopher_model/model/configuration.hpp"
#include "gopher_model/training/checkpoint_files.hpp"
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

namespace detail {

/// What this rank writes: of parameters, and of state that all ranks of a data group have, its even part.
template <class Model, class Optimizer>
std::vector<burrow::TensorEntry> checkpoint_entries(const Model& model, Optimizer& optimizer) {
  using Extent = burrow::StateExtent;
  const auto slices = parameter_slices(model);
  const auto& ranks = optimizer.ranks();
  std::vector<burrow::TensorEntry> entries;
  const auto add = [&](Extent extent, const std::string& prefix, Index first, auto values, bool divided) {
    using T = std::remove_const_t<typename decltype(values)::element_type>;
    const burrow::Partition parts{static_cast<Index>(values.size()), ranks.size()};
    const Index skipped = divided ? 0 : parts.begin(ranks.rank());
    const burrow::detail::HostValues<typename decltype(values)::element_type> held{
        burrow::detail::memory_of(model), divided ? values : parts.part(values, ranks.rank())};
    held.get();
    for (auto& entry : burrow::slice_entries<T>(slices, extent, prefix, first + skipped,
                                                std::span<const T>{held.values()})) {
      entry.kept = held.storage();
      entries.push_back(std::move(entry));
    }
  };
  add(Extent::elements, "", 0, burrow::parameters(model).values(), false);
  for (const auto& part : optimizer.state().values)
    add(part.extent, std::string(optimizer_prefix) + std::string(part.name) + ".", part.first, part.values,
        optimizer.options().stage > 0);
  return entries;
}

}  // namespace detail

/// Writes a checkpoint, whole or not at all: one file for one rank, otherwise a part for each rank and, when
/// all are on disk, the manifest. All ranks of `world` call it. Throws IoError.
template <class Model, class Optimizer, burrow::Communicator C>
void write_checkpoint(const std::filesystem::path& path, const Model& model, Optimizer& optimizer,
                      const std::string& tokenizer, std::map<std::string, std::string> metadata,
                      const C& world) {
  auto entries = detail::checkpoint_entries(model, optimizer);
  const std::span<const std::uint8_t> bytes{reinterpret_cast<const std::uint8_t*>(tokenizer.data()),
                                            tokenizer.size()};
  const auto tokens = burrow::tensor_entry<std::uint8_t>(std::string(tokenizer_tensor),
                                                         {static_cast<Index>(tokenizer.size())}, bytes);
  if (world.size() == 1) {
    entries.push_back(tokens);
    return burrow::write_safetensors(path, entries, metadata);
  }
  if (world.rank() == 0) prepare_parts_folder(path);
  world.barrier();
  burrow::write_safetensors(part_path(path, world.rank()), entries,
                            part_metadata(metadata, world.rank(), world.size()));
  world.barrier();
  if (world.rank() != 0) return;
  metadata[std::string(parts_key)] = std::to_string(world.size());
  burrow::write_safetensors(path, std::span{&tokens, 1}, metadata);
}

namespace detail {

/// Reads values of a model or its optimizer, on the model's device.
template <class Model, class Values>
void read_values(const burrow::SlicedTensors& saved, Model& model, burrow::StateExtent extent,
                 const std::string& prefix, Index first, Values values) {
  const burrow::detail::HostValues<typename Values::element_type> held{burrow::detail::memory_of(model),
                                                                       values};
  saved.read(parameter_slices(model), extent, prefix, first, held.values());
  held.put();
}

}  // namespace detail

/// Reads what this rank has of a checkpoint's model back.
template <class Model>
void read_parameters(const burrow::SlicedTensors& saved, Model& model) {
  detail::read_values(saved, model, burrow::StateExtent::elements, "", 0, burrow::parameters(model).values());
}

/// Reads what this rank has of a checkpoint's model and optimizer's state back, bit for bit.
template <class Model, class Optimizer>
void read_checkpoint(const burrow::SlicedTensors& saved, Model& model, Optimizer& optimizer) {
  read_parameters(saved, model);
  for (const auto& part : optimizer.state().values)
    detail::read_values(saved, model, part.extent,
                        std::string(optimizer_prefix) + std::string(part.name) + ".", part.first,
                        part.values);
  const TrainingState state = describe_checkpoint(saved.first_file()).state;
  optimizer.set_steps(state.step - state.skipped);
}

}  // namespace gopher
