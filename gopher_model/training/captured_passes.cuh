// The micro-batches of training steps on a CUDA device, as CUDA graphs: the pass of one shape is captured
// once and replayed, and the host waits once in a step, for the sum of its losses.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include <burrow/core/captured_step.cuh>

#include "gopher_model/data/batch_feed.hpp"
#include "gopher_model/model/gopher.hpp"
#include "gopher_model/training/device_passes.hpp"

namespace gopher {

/// Passes of a model of `Policy`, on one rank. Model and optimizer outlive it and stay where they are.
template <class Policy>
class CapturedPasses {
  using Model = RunTimeGopher<Policy>;
  using Loss = DeviceNumber<float, Cuda>;
  using Tokens = Tensor<std::int32_t, Batch::Tokens::shape_type, Cuda>;

 public:
  /// Takes `count` micro-batches from next() and lets the optimizer, a `Sharded`, keep the gradient of their
  /// summed losses times `share`, which it returns. The bits are those of passes that are not captured.
  template <class Optimizer, class Next>
  double accumulate(const Model& model, Optimizer& optimizer, Index count, const Next& next, float share) {
    if (std::exchange(share_, share) != share) forget();
    Tensor<double, Shape<>, Cuda> sum = zeros<Shape<>, double, Cuda>();
    for (Index i = 0; i < count; ++i) {
      const Batch batch = next();
      Pass& pass = pass_for(model, optimizer, batch.inputs.shape(), i == 0);
      assign(pass.inputs, batch.inputs);
      assign(pass.targets, batch.targets);
      sum += cast<double>((*pass.step)().tensor());
    }
    return sum.item();
  }

 private:
  struct Pass {
    Tokens inputs, targets;
    std::unique_ptr<cuda::CapturedStep<std::function<Loss()>>> step = nullptr;
  };

  /// The pass of a shape; the first one of a step also clears the gradient.
  template <class Optimizer>
  Pass& pass_for(const Model& model, Optimizer& optimizer, const typename Tokens::shape_type& shape,
                 bool is_first) {
    const auto [at, is_new] =
        passes_.try_emplace({shape[0], shape[1], is_first}, Pass{Tokens{shape}, Tokens{shape}});
    Pass& pass = at->second;
    if (is_new)
      pass.step = std::make_unique<cuda::CapturedStep<std::function<Loss()>>>(
          [&model, &optimizer, &pass, share = share_] {
            return optimizer.accumulate(model, [&](Tape& tape) {
              return model.loss(tape.watch(pass.inputs), pass.targets).sum * share;
            });
          },
          memory_);
    return pass;
  }

  void forget() {
    passes_.clear();
    memory_ = std::make_shared<cuda::StepMemory>();
  }

  float share_ = 0;
  std::shared_ptr<cuda::StepMemory> memory_;
  std::map<std::tuple<Index, Index, bool>, Pass> passes_;
};

template <class P, class C>
struct DevicePasses<burrow::Policy<P, C, Cuda>> : CapturedPasses<burrow::Policy<P, C, Cuda>> {
  static constexpr bool exist = true;
};

}  // namespace gopher
