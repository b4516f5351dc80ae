// RMSProp (Tieleman and Hinton 2012, lecture 6.5) and AdaGrad (Duchi et al. 2011): gradients divided by the
// root of a moving average, or of the sum, of their squares.
#pragma once

#include <burrow/optim/elementwise_slice.hpp>

namespace burrow {

/// The numbers of RMSProp. `weight_decay` is decoupled, as Adam's.
struct RmsPropOptions {
  double learning_rate = 1e-3;  ///< `UpdateOptions` may give another one for a step
  double decay = 0.9;           ///< of the squares' moving average
  double epsilon = 1e-8;        ///< added to the root of the squares
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

/// The numbers of AdaGrad. `weight_decay` is decoupled, as Adam's.
struct AdaGradOptions {
  double learning_rate = 1e-2;  ///< `UpdateOptions` may give another one for a step
  double epsilon = 1e-10;       ///< added to the root of the squares
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

namespace detail {

/// s = keep_square * s + take_square * g^2; the parameter moves by -learning_rate * g / (sqrt(s) + epsilon).
template <class V>
struct ScaledBySquares {
  V keep_square, take_square, epsilon, rate, keep;

  ScaledBySquares(double keep_of_square, double take_of_square, double least, double learning_rate,
                  double decay)
      : keep_square{every_lane<V>(keep_of_square)},
        take_square{every_lane<V>(take_of_square)},
        epsilon{every_lane<V>(least)},
        rate{every_lane<V>(learning_rate)},
        keep{every_lane<V>(1 - learning_rate * decay)} {}

  constexpr V operator()(V p, V g, V& square) const {
    square = keep_square * square + take_square * (g * g);
    return keep * p - rate * g / (sqrt(square) + epsilon);
  }
};

struct RmsPropRule {
  using options = RmsPropOptions;
  static constexpr std::array<std::string_view, 2> names{"rms_prop.second_moment",
                                                         "rms_prop.parameters_fp32"};
  static constexpr std::size_t remembers(const RmsPropOptions&) { return 1; }
  static constexpr const char* negative_rate = "RmsProp: the learning rate is negative";
  static void check(const RmsPropOptions& options, Location where) {
    require_option(options.decay >= 0 && options.decay < 1, "RmsProp: the decay is not in [0, 1)", where);
    require_option(options.epsilon > 0, "RmsProp: epsilon is not positive", where);
    require_option(options.weight_decay >= 0, "RmsProp: the weight decay is negative", where);
  }

  template <class V>
  struct Numbers : ScaledBySquares<V> {
    Numbers(const RmsPropOptions& o, double, double learning_rate, double decay)
        : ScaledBySquares<V>{o.decay, 1 - o.decay, o.epsilon, learning_rate, decay} {}
  };
};

struct AdaGradRule {
  using options = AdaGradOptions;
  static constexpr std::array<std::string_view, 2> names{"ada_grad.sum_of_squares",
                                                         "ada_grad.parameters_fp32"};
  static constexpr std::size_t remembers(const AdaGradOptions&) { return 1; }
  static constexpr const char* negative_rate = "AdaGrad: the learning rate is negative";
  static void check(const AdaGradOptions& options, Location where) {
    require_option(options.epsilon > 0, "AdaGrad: epsilon is not positive", where);
    require_option(options.weight_decay >= 0, "AdaGrad: the weight decay is negative", where);
  }

  template <class V>
  struct Numbers : ScaledBySquares<V> {
    Numbers(const AdaGradOptions& o, double, double learning_rate, double decay)
        : ScaledBySquares<V>{1, 1, o.epsilon, learning_rate, decay} {}
  };
};

}  // namespace detail

/// RMSProp for a slice of a flat buffer, whose first element has the index `first_index` there.
template <Real P, class D = Cpu>
using RmsPropSlice = detail::ElementwiseSlice<P, detail::RmsPropRule, D>;

/// AdaGrad for a slice of a flat buffer, whose first element has the index `first_index` there.
template <Real P, class D = Cpu>
using AdaGradSlice = detail::ElementwiseSlice<P, detail::AdaGradRule, D>;

/// RMSProp for all parameters of a model.
template <class Model>
struct RmsProp : ModelOptimizer<Model, RmsPropSlice> {
  using ModelOptimizer<Model, RmsPropSlice>::ModelOptimizer;
};
template <class Model>
RmsProp(const Model&, const RmsPropOptions& = {}, ParameterLayout = {}) -> RmsProp<Model>;

/// AdaGrad for all parameters of a model.
template <class Model>
struct AdaGrad : ModelOptimizer<Model, AdaGradSlice> {
  using ModelOptimizer<Model, AdaGradSlice>::ModelOptimizer;
};
template <class Model>
AdaGrad(const Model&, const AdaGradOptions& = {}, ParameterLayout = {}) -> AdaGrad<Model>;

}  // namespace burrow
