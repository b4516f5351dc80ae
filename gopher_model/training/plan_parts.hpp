// How a run's model and batch fall into parts in a layout: what plans of memory, of messages and of time have
// in common.
#pragma once

#include <vector>

#include "gopher_model/training/plan.hpp"

namespace gopher {

/// The parts of one run in one layout.
class PlanParts {
 public:
  /// Both outlive it.
  PlanParts(const RunConfiguration& configuration, const Layout& layout);

  const RunConfiguration& configuration() const { return configuration_; }
  const ModelSize& size() const { return configuration_.size; }
  const Layout& layout() const { return layout_; }
  const burrow::MeshShape& mesh() const { return layout_.mesh; }

  /// Sequences of a step on each data rank, and the micro-batches that they are.
  Index sequences() const { return sequences_; }
  Index micro_batches() const { return (sequences_ + layout_.micro_batch - 1) / layout_.micro_batch; }
  /// Numbers of blocks that the ranks of a stage have in each of their chunks.
  const std::vector<Index>& chunk_blocks(int stage) const {
    return chunk_blocks_[static_cast<std::size_t>(stage)];
  }
  /// The parameters of the ranks of a stage that have this place in their tensor groups.
  burrow::ParameterCounts parameters(int stage, int tensor_rank) const;
  /// How data ranks divide them.
  burrow::ShardingPlan sharding(int stage, int tensor_rank) const;
  /// How blocks of a stage come and go in a step; nothing before ZeRO stage 3.
  burrow::BlockPassages passages(int stage) const;
  /// In what order stages compute the first micro-batches of a step; behind them a pipeline repeats itself,
  /// at the pace of its fullest rank.
  const burrow::PipelineSchedule& schedule() const { return schedule_; }

 private:
  burrow::PipelineSchedule schedule_of(Index micro_batches) const;

  const RunConfiguration& configuration_;
  const Layout& layout_;
  Index sequences_;
  std::vector<std::vector<Index>> chunk_blocks_;
  burrow::PipelineSchedule schedule_;
};

/// The part of `count` things that rank `r` of `ranks` has, as parallel layers divide them.
constexpr Index even_part(Index count, int r, int ranks) {
  return count * (r + 1) / ranks - count * r / ranks;
}

/// Bytes of one parameter, and of what is kept for it.
StateBytes bytes_of_parameter(const RunConfiguration& configuration);

/// The memory of the rank that needs most.
MemoryPlan most_memory(const PlanParts& parts);

/// What all ranks send in a step.
MessagePlan messages_of(const PlanParts& parts);

}  // namespace gopher
