// Adam, and AdamW: with decoupled weight decay. Sources: Kingma & Ba 2015, Loshchilov & Hutter 2019.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include <burrow/optim/model_optimizer.hpp>

namespace burrow {

/// The numbers of Adam. A `weight_decay` other than 0 makes it AdamW: parameters also shrink by
/// learning_rate * weight_decay, which no moment sees.
struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

/// Adam for a slice of a flat buffer, whose first element has the index `first_index` there. Moments are
/// fp32, double for double parameters. The result does not depend on the number of threads or slices.
template <Real P>
class AdamSlice {
 public:
  using Compute = compute_type<P>;

  /// Throws ValueError for options out of range. `layout` is that of the whole buffer.
  AdamSlice(std::span<const P> parameters, Index first_index, const AdamOptions& options,
            const ParameterLayout& layout = {})
      : options_{options},
        update_{parameters, first_index, options.bf16_update, options.key, layout},
        first_moment_(parameters.size()),
        second_moment_(parameters.size()) {
    detail::require_option(options.learning_rate >= 0, "Adam: the learning rate is negative");
    detail::require_option(options.beta1 >= 0 && options.beta1 < 1, "Adam: beta1 is not in [0, 1)");
    detail::require_option(options.beta2 >= 0 && options.beta2 < 1, "Adam: beta2 is not in [0, 1)");
    detail::require_option(options.epsilon > 0, "Adam: epsilon is not positive");
    detail::require_option(options.weight_decay >= 0, "Adam: the weight decay is negative");
  }

  /// One update of the slice, in place.
  template <Real G>
  void step(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now = {}) {
    using V = Packet<Compute>;
    constexpr auto constant = detail::every_lane<Compute>;
    using Range = detail::UpdateRange;
    const double learning_rate = now.learning_rate.value_or(options_.learning_rate);
    const auto next = static_cast<double>(steps_ + 1);
    const V factor = constant(now.gradient_factor);
    const V beta1 = constant(options_.beta1), rest1 = constant(1 - options_.beta1);
    const V beta2 = constant(options_.beta2), rest2 = constant(1 - options_.beta2);
    const V epsilon = constant(options_.epsilon);
    const double correction = 1 - std::pow(options_.beta1, next);
    const V root_correction = constant(1 / std::sqrt(1 - std::pow(options_.beta2, next)));

    update_.run(parameters, gradient, steps_, now.only,
                [&](Compute* p, const Compute* g, Index begin, Index n, const Range& range) {
                  const double own_rate = range.rate(learning_rate);
                  const V rate = constant(own_rate / correction);
                  const V keep = constant(1 - own_rate * range.decay(options_.weight_decay));
                  Compute* const m = first_moment_.data() + begin;
                  Compute* const v = second_moment_.data() + begin;
                  detail::each_packet<Compute>(n, [&](Index i, auto... rest) {
                    const V gradient_now = V::load(g + i, rest...) * factor;
                    const V first = beta1 * V::load(m + i, rest...) + rest1 * gradient_now;
                    const V second = beta2 * V::load(v + i, rest...) + rest2 * (gradient_now * gradient_now);
                    const V step = rate * first / (sqrt(second) * root_correction + epsilon);
                    first.store(m + i, rest...);
                    second.store(v + i, rest...);
                    (keep * V::load(p + i, rest...) - step).store(p + i, rest...);
                  });
                });
    ++steps_;
  }

  /// "adam.first_moment", "adam.second_moment" and, where it is kept, "adam.parameters_fp32".
  OptimizerState<Compute> state() {
    OptimizerState<Compute> state{
        steps_, {{"adam.first_moment", first_moment_}, {"adam.second_moment", second_moment_}}};
    if (!update_.copy().empty()) state.values.push_back({"adam.parameters_fp32", update_.copy()});
    return state;
  }

  const AdamOptions& options() const { return options_; }

 private:
  AdamOptions options_;
  Index steps_ = 0;
  detail::ParameterUpdate<P> update_;
  detail::Remembered<Compute> first_moment_, second_moment_;
};

/// Adam for all parameters of a model.
template <class Model>
class Adam : public ModelOptimizer<Model, AdamSlice, AdamOptions> {
 public:
  using ModelOptimizer<Model, AdamSlice, AdamOptions>::ModelOptimizer;
};
template <class Model>
Adam(const Model&, const AdamOptions& = {}, ParameterLayout = {}) -> Adam<Model>;

}  // namespace burrow
