// Checkpoints of a run: the model, the optimizer's state, the tokenizer, and where the run stands. They hold
// logical tensors, so that a run goes on with any number of ranks, on any mesh.
#pragma once

#include <map>

#include <burrow/distributed/sharded.hpp>

#include "gopher_model/model/configuration.hpp"
#include "gopher_model/training/checkpoint_copy.hpp"
#include "gopher_model/training/checkpoint_writer.hpp"
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

/// `count` values from `first` on.
template <class T>
std::span<T> stretch(std::span<T> values, Index first, Index count) {
  return values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

/// Calls f(extent, prefix, first, values) for the arrays that this rank writes, of which `values` are those
/// from number `first` on: what it updates, and its even part of what all ranks of a data group update alike.
template <class Model, class Optimizer, class F>
void for_each_checkpoint_array(const Model& model, Optimizer& optimizer, const F& f) {
  const auto& ranks = optimizer.ranks();
  const bool divided = optimizer.options().stage > 0;
  const auto own = [&](burrow::StateExtent extent, const std::string& prefix, Index first, auto values) {
    const burrow::Partition parts{static_cast<Index>(values.size()), ranks.size()};
    if (divided)
      f(extent, prefix, first, values);
    else
      f(extent, prefix, first + parts.begin(ranks.rank()), parts.part(values, ranks.rank()));
  };
  const auto parameters = burrow::parameters(model).values();
  optimizer.for_each_updated([&](Index first, Index count) {
    own(burrow::StateExtent::elements, "", first, stretch(parameters, first, count));
  });
  for (const auto& part : optimizer.state().values)
    own(part.extent, std::string(optimizer_prefix) + std::string(part.name) + ".", part.first, part.values);
}

/// The entries of these arrays: in their place, or in `copy`.
template <class Model, class Optimizer>
std::vector<burrow::TensorEntry> checkpoint_entries(const Model& model, Optimizer& optimizer,
                                                    CheckpointCopy* copy) {
  const auto slices = parameter_slices(model);
  const burrow::detail::DeviceMemory& memory = burrow::detail::memory_of(model);
  std::vector<burrow::TensorEntry> entries;
  if (copy != nullptr) copy->clear();
  const auto add = [&](burrow::StateExtent extent, const std::string& prefix, Index first, auto values) {
    using T = std::remove_const_t<typename decltype(values)::element_type>;
    std::span<const T> readable = values;
    burrow::Storage kept;
    if (copy != nullptr) {
      readable = copy->copy(memory, readable);
    } else {
      const burrow::detail::HostValues<const T> held{memory, readable};
      held.get();
      readable = held.values();
      kept = held.storage();
    }
    for (auto& entry : burrow::slice_entries<T>(slices, extent, prefix, first, readable)) {
      entry.kept = kept;
      entries.push_back(std::move(entry));
    }
  };
  for_each_checkpoint_array(model, optimizer, add);
  return entries;
}

}  // namespace detail

/// Takes the memory that a copy of this rank's part of a checkpoint needs.
template <class Model, class Optimizer>
void reserve(CheckpointCopy& copy, const Model& model, Optimizer& optimizer) {
  detail::for_each_checkpoint_array(model, optimizer,
                                    [&](burrow::StateExtent, const std::string&, Index, auto values) {
                                      copy.reserve(static_cast<Index>(values.size_bytes()));
                                    });
}

/// What a checkpoint consists of. Model and optimizer may go on only where there is a `copy`, and the next
/// content may be made only when the one before is written; `tokenizer` must stay in any case.
template <class Model, class Optimizer>
CheckpointContent checkpoint_content(std::filesystem::path path, const Model& model, Optimizer& optimizer,
                                     const std::string& tokenizer,
                                     std::map<std::string, std::string> metadata, CheckpointCopy* copy) {
  const std::span<const std::uint8_t> bytes{reinterpret_cast<const std::uint8_t*>(tokenizer.data()),
                                            tokenizer.size()};
  return {std::move(path),
          detail::checkpoint_entries(model, optimizer, copy),
          {burrow::tensor_entry<std::uint8_t>(std::string(tokenizer_tensor),
                                              {static_cast<Index>(tokenizer.size())}, bytes)},
          std::move(metadata)};
}

namespace detail {

/// Reads values of a model or of its optimizer's state from the place `first` of the flat arrays on.
template <class Model, class Values>
void read_values(const burrow::SlicedTensors& saved, Model& model, burrow::StateExtent extent,
                 const std::string& prefix, Index first, Values values) {
  const burrow::detail::HostValues<typename Values::element_type> held{burrow::detail::memory_of(model),
                                                                       values};
  saved.read(parameter_slices(model), extent, prefix, first, held.values());
  held.put();
}

}  // namespace detail

/// Reads what this rank has of a checkpoint's model back, all of which is in memory.
template <class Model>
void read_parameters(const burrow::SlicedTensors& saved, Model& model) {
  detail::read_values(saved, model, burrow::StateExtent::elements, "", 0, burrow::parameters(model).values());
}

/// Reads what this rank has of a checkpoint's model and optimizer's state back, bit for bit.
template <class Model, class Optimizer>
void read_checkpoint(const burrow::SlicedTensors& saved, Model& model, Optimizer& optimizer) {
  const auto parameters = burrow::parameters(model).values();
  optimizer.for_each_held([&](Index first, Index count) {
    detail::read_values(saved, model, burrow::StateExtent::elements, "", first,
                        detail::stretch(parameters, first, count));
  });
  for (const auto& part : optimizer.state().values)
    detail::read_values(saved, model, part.extent,
                        std::string(optimizer_prefix) + std::string(part.name) + ".", part.first,
                        part.values);
  const TrainingState state = describe_checkpoint(saved.first_file()).state;
  optimizer.set_steps(state.step - state.skipped);
}

}  // namespace gopher
