// One training step of a language model on random tokens: what benchmarks/train_step.cpp times. Each function
// below stands in a translation unit of its own, where its model is instantiated.
#pragma once

#include <memory>

#include <burrow/nn/rematerialization.hpp>

#include "gopher_model/model/configuration.hpp"

namespace benchmarks {

/// A model with its optimizer's state and one batch of tokens.
class TrainStep {
 public:
  TrainStep() = default;
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;
  virtual ~TrainStep() = default;

  /// Forward, backward, clipping to norm 1 and AdamW; returns the mean loss, in nats.
  virtual double run() = 0;
};

/// Gopher, as `gopher train` builds it; `rematerialize` says what its blocks keep for the backward pass.
std::unique_ptr<TrainStep> gopher_float32(const gopher::ModelSize& size, gopher::Index batch,
                                          burrow::Rematerialization rematerialize);
std::unique_ptr<TrainStep> gopher_mixed_bf16(const gopher::ModelSize& size, gopher::Index batch,
                                             burrow::Rematerialization rematerialize);
/// GPT-2: LayerNorm, learned positions, gelu, the input's table as output. `head_width` is not looked at.
std::unique_ptr<TrainStep> gpt2_float32(const gopher::ModelSize& size, gopher::Index batch,
                                        burrow::Rematerialization rematerialize);
std::unique_ptr<TrainStep> gpt2_mixed_bf16(const gopher::ModelSize& size, gopher::Index batch,
                                           burrow::Rematerialization rematerialize);

}  // namespace benchmarks
