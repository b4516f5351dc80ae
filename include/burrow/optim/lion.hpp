// Lion: the sign of an interpolated momentum (Chen et al. 2023, "Symbolic Discovery of Optimization
// Algorithms", algorithm 2).
#pragma once

#include <span>

#include <burrow/optim/model_optimizer.hpp>

namespace burrow {

/// The numbers of Lion. Every element moves by the learning rate, so that wants to be three to ten times
/// smaller than Adam's, and the decoupled weight decay as many times larger.
struct LionOptions {
  double learning_rate = 1e-4;
  double beta1 = 0.9;   ///< of the direction
  double beta2 = 0.99;  ///< of the momentum
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

/// Lion for a slice of a flat buffer, whose first element has the index `first_index` there: the parameter
/// moves by -learning_rate * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p), then m = beta2 * m + (1
/// - beta2) * g.
template <Real P>
class LionSlice {
 public:
  using Compute = compute_type<P>;

  /// Throws ValueError for options out of range. `layout` is that of the whole buffer.
  LionSlice(std::span<const P> parameters, Index first_index, const LionOptions& options,
            const ParameterLayout& layout = {})
      : options_{options},
        update_{parameters, first_index, options.bf16_update, options.key, layout},
        momentum_(parameters.size()) {
    detail::require_option(options.learning_rate >= 0, "Lion: the learning rate is negative");
    detail::require_option(options.beta1 >= 0 && options.beta1 < 1, "Lion: beta1 is not in [0, 1)");
    detail::require_option(options.beta2 >= 0 && options.beta2 < 1, "Lion: beta2 is not in [0, 1)");
    detail::require_option(options.weight_decay >= 0, "Lion: the weight decay is negative");
  }

  /// One update of the slice, in place.
  template <Real G>
  void step(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now = {}) {
    using V = Packet<Compute>;
    constexpr auto constant = detail::every_lane<Compute>;
    using Range = detail::UpdateRange;
    const double learning_rate = now.learning_rate.value_or(options_.learning_rate);
    const V factor = constant(now.gradient_factor), zero = constant(0);
    const V beta1 = constant(options_.beta1), rest1 = constant(1 - options_.beta1);
    const V beta2 = constant(options_.beta2), rest2 = constant(1 - options_.beta2);

    update_.run(parameters, gradient, steps_, now.only,
                [&](Compute* p, const Compute* g, Index begin, Index n, const Range& range) {
                  const double own_rate = range.rate(learning_rate);
                  const V rate = constant(own_rate), back = constant(-own_rate);
                  const V keep = constant(1 - own_rate * range.decay(options_.weight_decay));
                  Compute* const m = momentum_.data() + begin;
                  detail::each_packet<Compute>(n, [&](Index i, auto... rest) {
                    const V gradient_now = V::load(g + i, rest...) * factor;
                    const V momentum = V::load(m + i, rest...);
                    const V direction = beta1 * momentum + rest1 * gradient_now;
                    const V step = select(direction > zero, rate, select(direction < zero, back, zero));
                    (beta2 * momentum + rest2 * gradient_now).store(m + i, rest...);
                    (keep * V::load(p + i, rest...) - step).store(p + i, rest...);
                  });
                });
    ++steps_;
  }

  /// "lion.momentum" and, where it is kept, "lion.parameters_fp32".
  OptimizerState<Compute> state() {
    OptimizerState<Compute> state{steps_, {{"lion.momentum", momentum_}}};
    if (!update_.copy().empty()) state.values.push_back({"lion.parameters_fp32", update_.copy()});
    return state;
  }

  const LionOptions& options() const { return options_; }

 private:
  LionOptions options_;
  Index steps_ = 0;
  detail::ParameterUpdate<P> update_;
  detail::Remembered<Compute> momentum_;
};

/// Lion for all parameters of a model.
template <class Model>
class Lion : public ModelOptimizer<Model, LionSlice, LionOptions> {
 public:
  using ModelOptimizer<Model, LionSlice, LionOptions>::ModelOptimizer;
};
template <class Model>
Lion(const Model&, const LionOptions& = {}, ParameterLayout = {}) -> Lion<Model>;

}  // namespace burrow
