// What data ranks divide of a model's training: the stages of ZeRO.
#pragma once

#include <burrow/core/shape.hpp>

namespace burrow {

/// What is divided among the ranks. Stage 0: nothing, gradients are added by all. Stage 1: what the optimizer
/// remembers. Stage 2: also the gradients that are kept between the micro-batches of a step. Stage 3: also
/// the parameters of repeated blocks (Repeat), each of which is whole only while a pass goes through it.
/// Gradients and parameters travel in buckets of `bucket_elements`, with stage 3 one for each block, divided
/// among the ranks.
struct ShardingOptions {
  int stage = 1;
  Index bucket_elements = Index{1} << 22;
};

/// How many buckets of a gradient are added over the ranks at a time while the backward pass goes on. With
/// stage 3 it is one, so that beside the gradient of the block at hand there is that of one other.
constexpr Index reductions_under_way(int stage) { return stage == 3 ? 1 : 4; }

}  // namespace burrow
