// The memory of a rank, counted as the library takes it.
#include <algorithm>
#include <limits>
#include <utility>

#include <burrow/distributed/collectives.hpp>

#include "gopher_model/model/pass_memory.hpp"
#include "gopher_model/training/plan_parts.hpp"

namespace gopher {
namespace {

using burrow::Pass;
using burrow::PipelineAction;
using burrow::PipelineSchedule;

// The messages that a rank of a pipeline has received, and those that it has to receive before.
class Mailbox {
 public:
  Mailbox(const PipelineSchedule& schedule, int rank)
      : schedule_{schedule},
        rank_{rank},
        taken_(schedule.actions.size(), 0),
        waiting_(static_cast<std::size_t>(2 * schedule.stages() * schedule.micro_batches), 0) {}

  // How many messages an action has to receive until it has its own: each rank's come in their order.
  Index receive(const PipelineAction& action) {
    const int stage = schedule_.stage(rank_, action.chunk), ranks = schedule_.ranks;
    const int from = (stage + (action.pass == Pass::forward ? ranks - 1 : 1)) % ranks;
    const auto& sent = schedule_.actions[static_cast<std::size_t>(from)];
    std::size_t& next = taken_[static_cast<std::size_t>(from)];
    char& wanted = waiting_[place(action.pass, action.micro_batch, stage)];
    Index received = 0;
    for (; wanted == 0; ++next) {
      const PipelineAction& other = sent[next];
      const int to = schedule_.stage(from, other.chunk) + (other.pass == Pass::forward ? 1 : -1);
      if (to < 0 || to >= schedule_.stages() || to % ranks != rank_) continue;
      waiting_[place(other.pass, other.micro_batch, to)] = 1;
      ++received;
    }
    wanted = 0;
    return received;
  }

 private:
  std::size_t place(Pass pass, Index micro_batch, int stage) const {
    return static_cast<std::size_t>(2 * (stage * schedule_.micro_batches + micro_batch) +
                                    (pass == Pass::forward ? 1 : 0));
  }

  const PipelineSchedule& schedule_;
  int rank_;
  std::vector<std::size_t> taken_;
  std::vector<char> waiting_;
};

// The passes of a rank of a pipeline, in the order of the schedule.
MemoryCourse staged_passes(const PassMemory& memory, const PipelineSchedule& schedule, int rank,
                           const std::vector<Index>& chunk_blocks) {
  const Index h = memory.hidden();
  const bool has_first = rank == 0, has_last = rank + 1 == schedule.ranks;
  struct Chunk {
    MemoryCourse forward, backward;
  };
  std::vector<Chunk> chunks;
  for (const Index blocks : chunk_blocks) {
    const auto chunk = static_cast<int>(chunks.size());
    const bool first = has_first && chunk == 0, last = has_last && chunk + 1 == schedule.chunks;
    chunks.push_back({memory.forward(blocks), memory.backward(blocks)});
    auto& [forward, backward] = chunks.back();
    if (first) forward = memory.embed() + forward;
    if (last) forward += memory.loss();
    // The tape copies the gradient that it is given, and has kept what entered, whose gradient is sent from a
    // copy, and what was sent on.
    backward = last ? memory.loss_backward() + backward : MemoryCourse{h} + backward + MemoryCourse{-h};
    backward += first ? memory.embed_backward() : MemoryCourse{h, h, -h, -h, -h};
    backward += MemoryCourse{last ? -memory.loss_value() : -h};
  }
  Mailbox mailbox{schedule, rank};
  MemoryCourse all;
  for (const PipelineAction& action : schedule.actions[static_cast<std::size_t>(rank)]) {
    const int stage = schedule.stage(rank, action.chunk);
    const bool forward = action.pass == Pass::forward;
    const bool receives = forward ? stage > 0 : stage + 1 < schedule.stages();
    if (receives) all += mailbox.receive(action) * MemoryCourse{h};
    const Chunk& chunk = chunks[static_cast<std::size_t>(action.chunk)];
    all += forward ? chunk.forward : chunk.backward;
  }
  return all;
}

PassMemory pass_memory_of(const PlanParts& parts, int tensor_rank) {
  const Layout& layout = parts.layout();
  const int ranks = parts.mesh().tensor;
  ModelSize part = parts.size();
  part.heads = even_part(part.heads, tensor_rank, ranks);
  part.feed_forward = even_part(part.feed_forward, tensor_rank, ranks);
  part.vocabulary = even_part(part.vocabulary, tensor_rank, ranks);
  const DividedLayers divided{ranks > 1 || parts.mesh().pipeline > 1, layout.row_parts(),
                              (parts.size().vocabulary + ranks - 1) / ranks, layout.gathers_rows_again()};
  return {part, std::min(layout.micro_batch, parts.sequences()), parts.configuration().precision,
          layout.rematerialize, divided};
}

Index activations_of(const PlanParts& parts, const PassMemory& memory, int stage) {
  const auto& blocks = parts.chunk_blocks(stage);
  if (parts.mesh().pipeline > 1) return staged_passes(memory, parts.schedule(), stage, blocks).most;
  return (memory.embed() + memory.forward(blocks[0]) + memory.loss() + memory.loss_backward() +
          memory.backward(blocks[0]) + memory.embed_backward())
      .most;
}

// Gradients that a rank may have sent and its neighbour not received: at most of what that one has in memory.
Index sending_of(const PlanParts& parts, const PassMemory& memory, int stage) {
  const PipelineSchedule& schedule = parts.schedule();
  if (stage == 0 && schedule.chunks == 1) return 0;
  return memory.hidden() * schedule.most_in_memory((stage + schedule.ranks - 1) % schedule.ranks);
}

// Of a reduction of so many elements among ranks.
Index reduction_scratch(Index elements, Index element_bytes, int ranks) {
  if (ranks == 1) return 0;
  const burrow::detail::ReductionSegments one{(elements + ranks - 1) / ranks, element_bytes, ranks,
                                              burrow::detail::Group::usual_segment_bytes};
  return burrow::detail::HostPool::bytes_of_block(one.scratch_bytes);
}

// Of the largest buckets that data ranks can add at a time; in a pipeline all of them.
Index bucket_scratch(const PlanParts& parts, int stage, int tensor_rank, int zero) {
  std::vector<std::pair<Index, Index>> sizes;
  parts.sharding(stage, tensor_rank).for_each_bucket_size([&](Index elements, Index count) {
    sizes.emplace_back(reduction_scratch(elements, sizeof(float), parts.mesh().data), count);
  });
  std::sort(sizes.rbegin(), sizes.rend());
  constexpr Index all = std::numeric_limits<Index>::max();
  Index left = parts.mesh().pipeline > 1 ? all : burrow::reductions_under_way(zero), sum = 0;
  for (const auto& [bytes, count] : sizes) {
    const Index at_once = std::min(left, count);
    sum += at_once * bytes;
    left -= at_once;
  }
  return sum;
}

// Of what tensor ranks add at a time: a micro-batch, or four of its sequences where they divide the rows.
Index activation_scratch(const PlanParts& parts) {
  const Index sequences = std::min(parts.layout().micro_batch, parts.sequences());
  const bool rows = parts.layout().row_parts() > 1;
  const Index one = parts.size().context * parts.size().width;
  return (rows ? std::min<Index>(sequences, 4) : 1) *
         reduction_scratch((rows ? 1 : sequences) * one,
                           activation_element_bytes(parts.configuration().precision), parts.mesh().tensor);
}

MemoryPlan memory_of(const PlanParts& parts, int data_rank, int stage, int tensor_rank) {
  const bool divides = parts.mesh().data > 1, staged = parts.mesh().pipeline > 1;
  const int zero = divides ? parts.layout().zero : 0;
  const auto counts = parts.parameters(stage, tensor_rank);
  const auto sharding = parts.sharding(stage, tensor_rank);
  const StateBytes bytes = bytes_of_parameter(parts.configuration());
  const Index gathered = parts.passages(stage).most_present * sharding.missing_of_block(data_rank);
  const PassMemory passes = pass_memory_of(parts, tensor_rank);
  Index fresh = zero >= 2 ? counts.all() : 0;
  // A pass without a pipeline gives gradients of blocks back as they are reduced.
  if (zero == 3 && !staged)
    fresh = counts.before + std::min<Index>(2, counts.blocks) * counts.block + counts.after;
  if (staged) fresh += counts.before;  // what is new of the table's gradient is added apart
  MemoryPlan memory{.parameters = bytes.parameters * sharding.held(data_rank),
                    .gathered = bytes.parameters * gathered,
                    .gradients = bytes.gradients * sharding.kept_gradient(data_rank),
                    .fresh_gradients = bytes.gradients * fresh,
                    .master = bytes.master * sharding.updated(data_rank),
                    .moments = bytes.moments * sharding.updated(data_rank),
                    .activations = activations_of(parts, passes, stage),
                    .encodings = passes.encodings(),
                    .sending = sending_of(parts, passes, stage),
                    .exchanges = bucket_scratch(parts, stage, tensor_rank, zero) + activation_scratch(parts)};
  if (copies_checkpoints(parts.configuration()))
    memory.checkpoint_copy = bytes.total() * sharding.written(data_rank);
  return memory;
}

}  // namespace

MemoryPlan memory_of_rank(const RunConfiguration& c, const Layout& layout, int data_rank, int stage,
                          int tensor_rank) {
  return memory_of(PlanParts{c, layout}, data_rank, stage, tensor_rank);
}

MemoryPlan most_memory(const PlanParts& parts) {
  MemoryPlan most;
  for (int stage = 0; stage < parts.mesh().pipeline; ++stage) {
    int fullest = 0;
    for (int t = 1; t < parts.mesh().tensor; ++t)
      if (parts.parameters(stage, t).all() > parts.parameters(stage, fullest).all()) fullest = t;
    const MemoryPlan memory = memory_of(parts, 0, stage, fullest);
    if (memory.total() > most.total()) most = memory;
  }
  return most;
}

}  // namespace gopher
