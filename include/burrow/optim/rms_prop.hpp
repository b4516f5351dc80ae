// RMSProp (Tieleman and Hinton 2012, lecture 6.5) and AdaGrad (Duchi et al. 2011): gradients divided by the
// root of a moving average, or of the sum, of their squares.
#pragma once

#include <span>

#include <burrow/optim/model_optimizer.hpp>

namespace burrow {

/// The numbers of RMSProp. `weight_decay` is decoupled, as Adam's.
struct RmsPropOptions {
  double learning_rate = 1e-3;
  double decay = 0.9;  ///< of the squares' moving average
  double epsilon = 1e-8;
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

/// The numbers of AdaGrad. `weight_decay` is decoupled, as Adam's.
struct AdaGradOptions {
  double learning_rate = 1e-2;
  double epsilon = 1e-10;
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

namespace detail {

/// s = keep_square * s + take_square * g^2; the parameter moves by -learning_rate * g / (sqrt(s) + epsilon).
template <Real P>
class ScaledBySquares {
 public:
  using Compute = compute_type<P>;

  ScaledBySquares(std::span<const P> parameters, Index first_index, Bf16Update mode, Key key,
                  const ParameterLayout& layout)
      : update_{parameters, first_index, mode, key, layout}, squares_(parameters.size()) {}

  struct Numbers {
    double learning_rate, keep_square, take_square, epsilon, weight_decay;
  };

  template <Real G>
  void step(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now,
            const Numbers& numbers) {
    using V = Packet<Compute>;
    constexpr auto constant = every_lane<Compute>;
    const V factor = constant(now.gradient_factor), epsilon = constant(numbers.epsilon);
    const V keep_square = constant(numbers.keep_square), take_square = constant(numbers.take_square);
    update_.run(parameters, gradient, steps_, now.only,
                [&](Compute* p, const Compute* g, Index begin, Index n, const UpdateRange& range) {
                  const double own_rate = range.rate(numbers.learning_rate);
                  const V rate = constant(own_rate);
                  const V keep = constant(1 - own_rate * range.decay(numbers.weight_decay));
                  Compute* const s = squares_.data() + begin;
                  each_packet<Compute>(n, [&](Index i, auto... rest) {
                    const V gradient_now = V::load(g + i, rest...) * factor;
                    const V square =
                        keep_square * V::load(s + i, rest...) + take_square * (gradient_now * gradient_now);
                    square.store(s + i, rest...);
                    (keep * V::load(p + i, rest...) - rate * gradient_now / (sqrt(square) + epsilon))
                        .store(p + i, rest...);
                  });
                });
    ++steps_;
  }

  OptimizerState<Compute> state(std::string_view squares, std::string_view copy) {
    OptimizerState<Compute> state{steps_, {{squares, squares_}}};
    if (!update_.copy().empty()) state.values.push_back({copy, update_.copy()});
    return state;
  }

 private:
  Index steps_ = 0;
  ParameterUpdate<P> update_;
  Remembered<Compute> squares_;
};

}  // namespace detail

/// RMSProp for a slice of a flat buffer, whose first element has the index `first_index` there.
template <Real P>
class RmsPropSlice {
 public:
  using Compute = compute_type<P>;

  /// Throws ValueError for options out of range. `layout` is that of the whole buffer.
  RmsPropSlice(std::span<const P> parameters, Index first_index, const RmsPropOptions& options,
               const ParameterLayout& layout = {})
      : options_{options}, inner_{parameters, first_index, options.bf16_update, options.key, layout} {
    detail::require_option(options.learning_rate >= 0, "RmsProp: the learning rate is negative");
    detail::require_option(options.decay >= 0 && options.decay < 1, "RmsProp: the decay is not in [0, 1)");
    detail::require_option(options.epsilon > 0, "RmsProp: epsilon is not positive");
    detail::require_option(options.weight_decay >= 0, "RmsProp: the weight decay is negative");
  }

  /// One update of the slice, in place.
  template <Real G>
  void step(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now = {}) {
    inner_.step(parameters, gradient, now,
                {now.learning_rate.value_or(options_.learning_rate), options_.decay, 1 - options_.decay,
                 options_.epsilon, options_.weight_decay});
  }

  /// "rms_prop.second_moment" and, where it is kept, "rms_prop.parameters_fp32".
  OptimizerState<Compute> state() {
    return inner_.state("rms_prop.second_moment", "rms_prop.parameters_fp32");
  }
  const RmsPropOptions& options() const { return options_; }

 private:
  RmsPropOptions options_;
  detail::ScaledBySquares<P> inner_;
};

/// AdaGrad for a slice of a flat buffer, whose first element has the index `first_index` there.
template <Real P>
class AdaGradSlice {
 public:
  using Compute = compute_type<P>;

  /// Throws ValueError for options out of range. `layout` is that of the whole buffer.
  AdaGradSlice(std::span<const P> parameters, Index first_index, const AdaGradOptions& options,
               const ParameterLayout& layout = {})
      : options_{options}, inner_{parameters, first_index, options.bf16_update, options.key, layout} {
    detail::require_option(options.learning_rate >= 0, "AdaGrad: the learning rate is negative");
    detail::require_option(options.epsilon > 0, "AdaGrad: epsilon is not positive");
    detail::require_option(options.weight_decay >= 0, "AdaGrad: the weight decay is negative");
  }

  /// One update of the slice, in place.
  template <Real G>
  void step(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now = {}) {
    inner_.step(
        parameters, gradient, now,
        {now.learning_rate.value_or(options_.learning_rate), 1, 1, options_.epsilon, options_.weight_decay});
  }

  /// "ada_grad.sum_of_squares" and, where it is kept, "ada_grad.parameters_fp32".
  OptimizerState<Compute> state() {
    return inner_.state("ada_grad.sum_of_squares", "ada_grad.parameters_fp32");
  }
  const AdaGradOptions& options() const { return options_; }

 private:
  AdaGradOptions options_;
  detail::ScaledBySquares<P> inner_;
};

/// RMSProp for all parameters of a model.
template <class Model>
class RmsProp : public ModelOptimizer<Model, RmsPropSlice, RmsPropOptions> {
 public:
  using ModelOptimizer<Model, RmsPropSlice, RmsPropOptions>::ModelOptimizer;
};
template <class Model>
RmsProp(const Model&, const RmsPropOptions& = {}, ParameterLayout = {}) -> RmsProp<Model>;

/// AdaGrad for all parameters of a model.
template <class Model>
class AdaGrad : public ModelOptimizer<Model, AdaGradSlice, AdaGradOptions> {
 public:
  using ModelOptimizer<Model, AdaGradSlice, AdaGradOptions>::ModelOptimizer;
};
template <class Model>
AdaGrad(const Model&, const AdaGradOptions& = {}, ParameterLayout = {}) -> AdaGrad<Model>;

}  // namespace burrow
