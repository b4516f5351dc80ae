// The layers of a model that lie in the stages of a pipeline.
#pragma once

#include <vector>

#include <burrow/distributed/stage_division.hpp>
#include <burrow/nn/rematerialization.hpp>

#include "gopher_model/model/accounting.hpp"

namespace gopher {

/// FLOPs of a training step for each token, in one layer and in the last product with its loss, by the
/// accounting of `model_flops_per_token`, with those of layers that are computed again.
struct StageFlops {
  double layer, head;
};
constexpr StageFlops stage_flops(const ModelSize& size, burrow::Rematerialization rematerialize) {
  ModelSize layer = size, head = size;
  layer.layers = 1;
  layer.vocabulary = 0;
  head.layers = 0;
  const double again = rematerialize.blocks() > 0 ? 4.0 / 3 : 1;
  return {again * model_flops_per_token(layer), model_flops_per_token(head)};
}

/// Layers of each stage of a pipeline, of which each of `ranks` has `chunks`, balanced by these FLOPs. Throws
/// ConfigError where there are fewer layers than stages.
inline std::vector<Index> stage_layers(const ModelSize& size, int ranks, int chunks,
                                       burrow::Rematerialization rematerialize) {
  const StageFlops flops = stage_flops(size, rematerialize);
  return burrow::balanced_stages(size.layers, ranks, chunks, flops.head / flops.layer);
}

}  // namespace gopher
