// What a run takes on a mesh, before it is started: memory, messages, time. The counts of memory and messages
// are those of the library itself; time follows from them and from what a machine can do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <burrow/distributed/mesh.hpp>
#include <burrow/nn/rematerialization.hpp>

#include "gopher_model/training/run_configuration.hpp"

namespace gopher {

/// One kind of device, and how devices are joined. Rates are of one device, in units a second.
struct Machine {
  std::string_view name;
  double memory = 0;      ///< bytes
  double flops = 0;       ///< of large products of matrices, in the precision of the run
  double bandwidth = 0;   ///< bytes of memory
  double near = 0;        ///< bytes that it sends to a device of its group
  double far = 0;         ///< bytes that it sends to another group
  Index group = 1;        ///< devices that are joined by `near`
  double efficiency = 1;  ///< share of `flops` that the products of a training step reach; an assumption
  bool host = false;      ///< its memory is the host's
};

/// Devices by their makers' data sheets: dense bf16, one direction. The efficiencies are assumptions of ours.
inline constexpr Machine machines[] = {
    {"tpu-v3", 32.0 * (1u << 30), 123e12, 900e9, 70e9, 12.5e9, 1024, 0.5},
    {"a100", 80e9, 312e12, 2.0e12, 300e9, 25e9, 8, 0.55},
    {"h100", 80e9, 989e12, 3.35e12, 450e9, 50e9, 8, 0.55},
    {"h200", 141e9, 989e12, 4.8e12, 450e9, 50e9, 8, 0.55},
    {"b200", 180e9, 2250e12, 8.0e12, 900e9, 50e9, 8, 0.5},
};

/// The machine of that name; throws ConfigError with all names otherwise.
const Machine& machine_called(std::string_view name);

/// How a run is divided.
struct Layout {
  burrow::MeshShape mesh;
  int zero = 1;
  Index micro_batch = 1;
  burrow::Rematerialization rematerialize{};
};

/// Bytes on the rank that has most of a category. Parameters, gradients and state are exact, activations are
/// the estimate of accounting.hpp.
struct MemoryPlan {
  Index parameters = 0;
  Index gathered = 0;         ///< what is not this rank's of the two blocks at hand, with ZeRO stage 3
  Index gradients = 0;        ///< kept from one micro-batch to the next
  Index fresh_gradients = 0;  ///< of the micro-batch that is computed, with ZeRO stages 2 and 3
  Index master = 0;
  Index moments = 0;
  double activations = 0;
  Index checkpoint_copy = 0;  ///< in the host's memory: what checkpoints are written from; exact

  /// In the device's memory.
  double total() const {
    return static_cast<double>(parameters + gathered + gradients + fresh_gradients + master + moments) +
           activations;
  }
};

/// Bytes that all ranks together send in a step. Those of data ranks are exact, with ZeRO stage 3 and a
/// pipeline the most.
struct MessagePlan {
  Index all_reduce = 0;      ///< among data ranks: gradients with ZeRO stage 0, and numbers
  Index reduce_scatter = 0;  ///< among data ranks: gradients
  Index all_gather = 0;      ///< among data ranks: parameters
  double tensor = 0;         ///< among tensor ranks: sums of activations
  double pipeline = 0;       ///< between stages, and the tied embedding's gradient
};

/// What a run takes.
struct Plan {
  Layout layout;
  MemoryPlan memory;  ///< of the rank that needs most
  Index state = 0;    ///< bytes of parameters, copy and moments on all ranks, each counted once
  MessagePlan messages;
  Index micro_batches = 0;  ///< of a step, on each data rank
  double bubble = 0;        ///< share of a step in which a stage waits
  double compute = 0;       ///< seconds of a step, by what takes them
  double data_exchange = 0;
  double tensor_exchange = 0;
  double pipeline_exchange = 0;
  double update = 0;
  double utilisation = 0;  ///< of the devices' FLOPs, by the model's own

  double step() const;  ///< seconds
  bool fits(const Machine& machine) const {
    return memory.total() + (machine.host ? static_cast<double>(memory.checkpoint_copy) : 0) <=
           machine.memory;
  }
};

/// Parameters of the rank of a stage and of a tensor group that has most; the tied embedding is on the first
/// and on the last stage. Pipelines have contiguous stages, as equal as blocks allow, the first ones longer.
Index rank_parameters(const ModelSize& size, int stage, int stages, int tensor_rank, int tensor_ranks);

/// Throws ConfigError where a model has fewer layers than the mesh has stages, or fewer heads, feed-forward
/// columns or tokens than it has tensor ranks.
void require_divisible_model(const ModelSize& size, const burrow::MeshShape& mesh);

/// What the configuration's run takes in that layout. Throws ConfigError where the batch, the layers, the
/// heads or the vocabulary do not divide so.
Plan plan(const RunConfiguration& configuration, const Layout& layout, const Machine& machine);

/// The fastest plans of that many ranks that fit, at most `count`, fastest first: over all meshes,
/// micro-batches, with ZeRO stage 1, and of rematerialisation as little as fits.
std::vector<Plan> best_plans(const RunConfiguration& configuration, Index ranks, const Machine& machine,
                             std::size_t count);

}  // namespace gopher
