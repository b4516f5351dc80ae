// The Gopher models of the training step.
#pragma once

#include "benchmarks/train_step/model_step.hpp"
#include "gopher_model/model/gopher.hpp"

namespace benchmarks {

template <class Policy>
std::unique_ptr<TrainStep> gopher_step(const gopher::ModelSize& size, gopher::Index batch,
                                       burrow::Rematerialization rematerialize) {
  using Model = gopher::RunTimeGopher<Policy>;
  auto model = Model::make(size);
  model.blocks.rematerialize = rematerialize;
  return std::make_unique<ModelStep<Model>>(std::move(model), size, batch);
}

}  // namespace benchmarks
