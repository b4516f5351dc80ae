// What a run takes on a mesh, before it is started: memory, messages, time. The counts of memory and messages
// are those of the library itself; time follows from them and from what a machine can do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <burrow/distributed/mesh.hpp>
#include <burrow/distributed/sharding_plan.hpp>
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
  int chunks = 1;                  ///< stages of each pipeline rank
  bool sequence_parallel = false;  ///< tensor ranks divide the rows between products

  /// The stages that a rank of this mesh has in fact, and the parts of rows.
  int own_stages() const { return mesh.pipeline > 1 ? chunks : 1; }
  int row_parts() const { return sequence_parallel ? mesh.tensor : 1; }
  /// Whether the rows that products have gathered are gathered again in the backward pass, as other values
  /// are computed again; of blocks that are passed again they are not kept anyway.
  bool gathers_rows_again() const { return rematerialize.recomputes_values() && rematerialize.blocks() == 0; }
};

/// How the configuration's run is divided on a mesh.
Layout layout_of(const RunConfiguration& configuration, const burrow::MeshShape& mesh);

/// Bytes on a rank by category: exact on the CPU, but for `sending` and `exchanges`, which are the most that
/// there can be. Not counted is other scratch memory: see `PassMemory`.
struct MemoryPlan {
  Index parameters = 0;
  Index gathered = 0;         ///< the most that is not this rank's of blocks at hand, with ZeRO stage 3
  Index gradients = 0;        ///< kept from one micro-batch to the next
  Index fresh_gradients = 0;  ///< of the micro-batch that is computed, or of what stages have in common
  Index master = 0;
  Index moments = 0;
  Index activations = 0;      ///< values that passes have at once; see `PassMemory`
  Index encodings = 0;        ///< of positions
  Index sending = 0;          ///< gradients of hidden values that the stage before may not have received
  Index exchanges = 0;        ///< of the host: scratch memory of reductions that can be under way at once
  Index checkpoint_copy = 0;  ///< of the host: what checkpoints are written from

  /// In the host's memory, whatever the device.
  double of_host() const { return static_cast<double>(exchanges + checkpoint_copy); }
  /// In the device's memory.
  double total() const {
    return static_cast<double>(parameters + gathered + gradients + fresh_gradients + master + moments +
                               activations + encodings + sending);
  }
};

/// What all ranks together send in a step, by the groups that they send it in. A step behind an evaluation
/// may send less, with ZeRO stage 3: that leaves each rank its last block.
struct MessagePlan {
  burrow::PlannedTraffic data;      ///< gradients, parameters, the loss and the norm of a part of the model
  burrow::PlannedTraffic tensor;    ///< sums of activations, or rows of them
  burrow::PlannedTraffic pipeline;  ///< hidden values, the tied embedding's gradient, the loss
  burrow::PlannedTraffic all;       ///< the norm of the whole model, and whether the run goes on

  burrow::PlannedTraffic together() const {
    burrow::PlannedTraffic sum = data;
    return ((sum += tensor) += pipeline) += all;
  }
};

/// What a run takes.
struct Plan {
  Layout layout;
  MemoryPlan memory;  ///< of the rank that needs most
  Index state = 0;    ///< bytes of parameters, copy and moments on all ranks, each counted once
  MessagePlan messages;
  Index micro_batches = 0;            ///< of a step, on each data rank
  std::vector<Index> stage_layers{};  ///< layers of each stage, in order
  double bubble = 0;                  ///< share of a step in which ranks of a pipeline wait for each other
  double compute = 0;                 ///< seconds of a step, by what takes them
  double data_exchange = 0;
  double tensor_exchange = 0;
  double pipeline_exchange = 0;
  double update = 0;
  double utilisation = 0;  ///< of the devices' FLOPs, by the model's own

  double step() const;  ///< seconds
  bool fits(const Machine& machine) const {
    return memory.total() + (machine.host ? memory.of_host() : 0) <= machine.memory;
  }
};

/// Numbers of parameters of the ranks of a stage that have this place in their tensor groups, in their order
/// in the model; the tied embedding is on the first and on the last stage.
burrow::ParameterCounts rank_parameters(const RunConfiguration& configuration, const Layout& layout,
                                        int stage, int tensor_rank);

/// What one rank needs, the one at that place of each axis.
MemoryPlan memory_of_rank(const RunConfiguration& configuration, const Layout& layout, int data_rank,
                          int stage, int tensor_rank);

/// Throws ConfigError where the batch does not divide among data ranks, or micro-batches among the ranks of
/// an interleaved pipeline, or rows among tensor ranks; and where a model has fewer layers than stages, or
/// fewer heads, feed-forward columns or tokens than tensor ranks.
void require_divisible(const RunConfiguration& configuration, const Layout& layout);

/// What the configuration's run takes in that layout. Throws ConfigError as `require_divisible`.
Plan plan(const RunConfiguration& configuration, const Layout& layout, const Machine& machine);

/// The fastest plans of that many ranks that fit, at most `count`, fastest first: over all meshes,
/// micro-batches, 1, 2 and 4 stages to a pipeline rank, rows whole and divided, with ZeRO stage 1, and of
/// rematerialisation as little as fits.
std::vector<Plan> best_plans(const RunConfiguration& configuration, Index ranks, const Machine& machine,
                             std::size_t count);

}  // namespace gopher
