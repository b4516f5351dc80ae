// A TrainStep of any model that has loss(tokens, targets).
#pragma once

#include <utility>

#include <burrow/autodiff/tape.hpp>
#include <burrow/nn/module.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/clip.hpp>
#include <burrow/tensor/create.hpp>

#include "benchmarks/train_step/step.hpp"

namespace benchmarks {

template <class Model>
class ModelStep final : public TrainStep {
  using D = burrow::detail::module_device_of<Model>;
  template <class Device>
  using TokensOn = burrow::Tensor<std::int32_t, burrow::Shape<burrow::dyn, burrow::dyn>, Device>;

 public:
  /// A model without elements yet, which gets them here, and `batch` sequences of random tokens.
  ModelStep(Model prototype, const gopher::ModelSize& size, burrow::Index batch)
      : model_{build(std::move(prototype), burrow::Key{0})},
        gradient_{model_},
        optimizer_{model_, {.learning_rate = 1e-4, .weight_decay = 0.1}},
        inputs_{burrow::to<D>(random_tokens(size, batch, 1))},
        targets_{burrow::to<D>(random_tokens(size, batch, 2))} {}

  double run() override {
    gradient_.clear();
    const float share = 1.0f / static_cast<float>(inputs_.shape().size());
    const float loss = accumulate_gradient(model_, gradient_, [&](burrow::Tape& tape) {
      return model_.loss(tape.watch(inputs_), targets_).sum * share;
    });
    const double norm = burrow::global_norm<D>(std::as_const(gradient_).values());
    optimizer_.step(model_, gradient_, {.gradient_factor = burrow::clip_factor(norm, 1.0)});
    return static_cast<double>(loss);
  }

 private:
  static TokensOn<burrow::Cpu> random_tokens(const gopher::ModelSize& size, burrow::Index batch,
                                             std::uint64_t seed) {
    TokensOn<burrow::Cpu> tokens{burrow::Shape<burrow::dyn, burrow::dyn>{{batch, size.context}}};
    const burrow::Key key{seed};
    burrow::Index i = 0;
    for (auto& token : tokens.values())
      token = static_cast<std::int32_t>(key.bits(static_cast<std::uint64_t>(i++)) %
                                        static_cast<std::uint64_t>(size.vocabulary));
    return tokens;
  }

  Model model_;
  burrow::Gradient<Model> gradient_;
  burrow::Adam<Model> optimizer_;
  TokensOn<D> inputs_, targets_;
};

}  // namespace benchmarks
