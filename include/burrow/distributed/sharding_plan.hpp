// What `Sharded` makes of a model's parameters on each rank, and what it sends in a step, before there is a
// model.
//
//   const ShardingPlan plan{{.before = 640, .block = 3200, .blocks = 4, .after = 64}, 8, {.stage = 2}};
//   plan.updated(0);      // elements
#pragma once

#include <algorithm>
#include <vector>

#include <burrow/distributed/planned_traffic.hpp>
#include <burrow/distributed/presence.hpp>
#include <burrow/distributed/schedule.hpp>
#include <burrow/distributed/sharding_options.hpp>
#include <burrow/nn/rematerialization.hpp>

namespace burrow {

/// Numbers of parameters of the model that a rank has, in their order: `before` its repeated blocks, which
/// are alike, of one `block`, of which there are `blocks`, and `after` them.
struct ParameterCounts {
  Index before = 0, block = 0, blocks = 0, after = 0;

  Index all() const { return before + blocks * block + after; }
};

/// How the blocks of a rank come and go in a step with ZeRO stage 3.
struct BlockPassages {
  Index gathers = 0;       ///< of one block each
  Index most_present = 0;  ///< blocks that are whole at once
};

/// Follows the passes of a schedule through a rank's blocks; chunk c has chunk_blocks[c] of them.
inline BlockPassages block_passages(const PipelineSchedule& schedule, int rank,
                                    std::span<const Index> chunk_blocks, Rematerialization rematerialize) {
  using Moment = detail::ParameterKeeper::Moment;
  std::vector<std::size_t> bounds{0};
  for (const Index blocks : chunk_blocks) bounds.push_back(bounds.back() + static_cast<std::size_t>(blocks));
  std::vector<bool> present(bounds.back());
  BlockPassages found;
  Index now = 0;
  const auto gather = [&](std::size_t b) {
    if (present[b]) return;
    present[b] = true;
    ++found.gathers;
    found.most_present = std::max(found.most_present, ++now);
  };
  const auto give_back = [&](std::size_t b) {
    if (present[b]) --now;
    present[b] = false;
  };
  const auto at = [&](Moment moment, std::size_t b) {
    detail::follow_passage(moment, b, present.size(), gather, gather, give_back);
  };
  const auto forward = [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      at(Moment::forward_begins, b);
      at(Moment::forward_ends, b);
    }
  };
  const auto backward = [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; rematerialize.blocks() > 0 && b < last; ++b) {
      at(Moment::again_begins, b);
      at(Moment::again_ends, b);
    }
    for (std::size_t b = last; b-- > first;) {
      at(Moment::backward_begins, b);
      at(Moment::backward_ends, b);
    }
  };
  for (const PipelineAction& action : schedule.actions[static_cast<std::size_t>(rank)]) {
    const std::size_t first = bounds[static_cast<std::size_t>(action.chunk)];
    const std::size_t last = bounds[static_cast<std::size_t>(action.chunk) + 1];
    const std::size_t group =
        rematerialize.blocks() > 0 ? static_cast<std::size_t>(rematerialize.blocks()) : last - first;
    if (action.pass == Pass::forward)
      forward(first, last);
    else
      for (std::size_t groups = first < last ? (last - first + group - 1) / group : 0; groups-- > 0;)
        backward(first + groups * group, std::min(first + (groups + 1) * group, last));
  }
  return found;
}

/// Elements that each of some ranks has of a model with so many parameters, and the messages of a step, by an
/// optimizer that can update any part of them (not Adafactor).
class ShardingPlan {
 public:
  ShardingPlan(const ParameterCounts& counts, int ranks, const ShardingOptions& options = {})
      : counts_{counts}, ranks_{ranks}, options_{options} {
    if (options.stage < 3) {
      cut(counts.all());
      return;
    }
    cut(counts.before);
    if (counts.blocks > 0) stretches_.push_back({counts.block, counts.blocks, true});
    cut(counts.after);
  }

  /// What a rank updates, and remembers values for.
  Index updated(int rank) const {
    return options_.stage == 0 ? counts_.all() : sum([&](const Stretch& s) { return share(s, rank); });
  }
  /// What a rank has between steps.
  Index held(int rank) const {
    return sum([&](const Stretch& s) { return s.block ? share(s, rank) : s.size; });
  }
  /// Elements of the gradient that a rank keeps from the first micro-batch of a step to the update.
  Index kept_gradient(int rank) const { return options_.stage < 2 ? counts_.all() : updated(rank); }
  /// What a rank has where what ranks update alike is divided as well: the part that it writes of a
  /// checkpoint.
  Index written(int rank) const {
    return sum([&](const Stretch& s) { return share(s, rank); });
  }
  /// What a rank lacks of a block between passes; all of them are whole before stage 3.
  Index missing_of_block(int rank) const {
    return options_.stage < 3 ? 0 : counts_.block - share({counts_.block, 1, true}, rank);
  }

  /// Calls f(elements, count) for so many buckets of equal size that are reduced one by one.
  template <class F>
  void for_each_bucket_size(const F& f) const {
    for (const Stretch& s : stretches_) f(s.size, s.count);
  }

  /// What all ranks send for a step of `reductions` gradients, in whose passes `gathers` blocks are gathered.
  PlannedTraffic step(Index reductions, Index gathers, Index parameter_bytes, Index gradient_bytes) const {
    PlannedTraffic sent;
    const bool divided = options_.stage > 0;
    for (const Stretch& s : stretches_) {
      const Collective reduction = divided ? Collective::reduce_scatter : Collective::all_reduce;
      sent.add(reduction, ranks_, reductions * s.size * s.count * gradient_bytes, reductions * s.count);
      const Index gathered = s.block ? gathers : divided ? s.count : 0;
      sent.add(Collective::all_gather, ranks_, gathered * s.size * parameter_bytes, gathered);
    }
    if (divided) sent.add(Collective::all_reduce, ranks_, Index{sizeof(double)});  // of the norm
    return sent;
  }

 private:
  /// `count` buckets of `size` elements each.
  struct Stretch {
    Index size, count;
    bool block;
  };

  void cut(Index elements) {
    const Index size = options_.bucket_elements, whole = elements / size, rest = elements % size;
    if (whole > 0) stretches_.push_back({size, whole, false});
    if (rest > 0) stretches_.push_back({rest, 1, false});
  }
  Index share(const Stretch& s, int rank) const { return Partition{s.size, ranks_}.size(rank); }
  template <class F>
  Index sum(const F& elements) const {
    Index all = 0;
    for (const Stretch& s : stretches_) all += s.count * elements(s);
    return all;
  }

  ParameterCounts counts_;
  int ranks_;
  ShardingOptions options_;
  std::vector<Stretch> stretches_;
};

}  // namespace burrow
