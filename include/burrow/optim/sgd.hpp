// Stochastic gradient descent with momentum: the heavy ball (Polyak 1964), Nesterov's method (Sutskever et
// al. 2013), and dampening, which makes of the velocity an average.
#pragma once

#include <span>
#include <vector>

#include <burrow/optim/model_optimizer.hpp>

namespace burrow {

/// The numbers of gradient descent. `weight_decay` is decoupled: parameters also shrink by learning_rate *
/// weight_decay, which the momentum does not see.
struct SgdOptions {
  double learning_rate = 1e-2;
  double momentum = 0;
  double dampening = 0;  ///< with `dampening` = `momentum` the velocity is a moving average of gradients
  bool nesterov = false;
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

/// Gradient descent for a slice of a flat buffer, whose first element has the index `first_index` there:
/// velocity = momentum * velocity + (1 - dampening) * gradient, from 0 on; the parameter moves by
/// -learning_rate * velocity, or, with Nesterov's momentum, by -learning_rate * (gradient + momentum *
/// velocity).
template <Real P>
class SgdSlice {
 public:
  using Compute = compute_type<P>;

  /// Throws ValueError for options out of range. `layout` is that of the whole buffer.
  SgdSlice(std::span<const P> parameters, Index first_index, const SgdOptions& options,
           const ParameterLayout& layout = {})
      : options_{options}, update_{parameters, first_index, options.bf16_update, options.key, layout} {
    detail::require_option(options.learning_rate >= 0, "Sgd: the learning rate is negative");
    detail::require_option(options.momentum >= 0 && options.momentum < 1,
                           "Sgd: the momentum is not in [0, 1)");
    detail::require_option(options.dampening >= 0 && options.dampening <= options.momentum,
                           "Sgd: the dampening is not in [0, momentum]");
    detail::require_option(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
                           "Sgd: Nesterov's method needs a momentum and no dampening");
    detail::require_option(options.weight_decay >= 0, "Sgd: the weight decay is negative");
    if (options.momentum > 0) velocity_.resize(parameters.size());
  }

  /// One update of the slice, in place.
  template <Real G>
  void step(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now = {}) {
    using V = Packet<Compute>;
    constexpr auto constant = detail::every_lane<Compute>;
    using Range = detail::UpdateRange;
    const double learning_rate = now.learning_rate.value_or(options_.learning_rate);
    const V factor = constant(now.gradient_factor);
    const V momentum = constant(options_.momentum), fresh = constant(1 - options_.dampening);

    update_.run(parameters, gradient, steps_, now.only,
                [&](Compute* p, const Compute* g, Index begin, Index n, const Range& range) {
                  const V rate = constant(range.rate(learning_rate));
                  const V keep = constant(1 - range.rate(learning_rate) * range.decay(options_.weight_decay));
                  detail::each_packet<Compute>(n, [&](Index i, auto... rest) {
                    V direction = V::load(g + i, rest...) * factor;
                    if (!velocity_.empty()) {
                      Compute* const v = velocity_.data() + begin + i;
                      const V velocity = momentum * V::load(v, rest...) + fresh * direction;
                      velocity.store(v, rest...);
                      direction = options_.nesterov ? direction + momentum * velocity : velocity;
                    }
                    (keep * V::load(p + i, rest...) - rate * direction).store(p + i, rest...);
                  });
                });
    ++steps_;
  }

  /// "sgd.velocity" and "sgd.parameters_fp32", where they are kept.
  OptimizerState<Compute> state() {
    OptimizerState<Compute> state{steps_, {}};
    if (!velocity_.empty()) state.values.push_back({"sgd.velocity", velocity_});
    if (!update_.copy().empty()) state.values.push_back({"sgd.parameters_fp32", update_.copy()});
    return state;
  }

  const SgdOptions& options() const { return options_; }

 private:
  SgdOptions options_;
  Index steps_ = 0;
  detail::ParameterUpdate<P> update_;
  detail::Remembered<Compute> velocity_;
};

/// Gradient descent for all parameters of a model.
template <class Model>
class Sgd : public ModelOptimizer<Model, SgdSlice, SgdOptions> {
 public:
  using ModelOptimizer<Model, SgdSlice, SgdOptions>::ModelOptimizer;
};
template <class Model>
Sgd(const Model&, const SgdOptions& = {}, ParameterLayout = {}) -> Sgd<Model>;

}  // namespace burrow
