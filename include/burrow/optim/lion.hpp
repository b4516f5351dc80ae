// Lion: the sign of an interpolated momentum (Chen et al. 2023, "Symbolic Discovery of Optimization
// Algorithms", algorithm 2).
#pragma once

#include <burrow/optim/elementwise_slice.hpp>

namespace burrow {

/// The numbers of Lion. Every element moves by the `learning_rate`, so that wants to be three to ten times
/// smaller than Adam's, and the decoupled `weight_decay` as many times larger.
struct LionOptions {
  double learning_rate = 1e-4;
  double beta1 = 0.9;   ///< of the direction
  double beta2 = 0.99;  ///< of the momentum
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

namespace detail {

struct LionRule {
  using options = LionOptions;
  static constexpr std::array<std::string_view, 2> names{"lion.momentum", "lion.parameters_fp32"};
  static constexpr std::size_t remembers(const LionOptions&) { return 1; }
  static constexpr const char* negative_rate = "Lion: the learning rate is negative";
  static void check(const LionOptions& options, Location where) {
    require_option(options.beta1 >= 0 && options.beta1 < 1, "Lion: beta1 is not in [0, 1)", where);
    require_option(options.beta2 >= 0 && options.beta2 < 1, "Lion: beta2 is not in [0, 1)", where);
    require_option(options.weight_decay >= 0, "Lion: the weight decay is negative", where);
  }

  template <class V>
  struct Numbers {
    V beta1, rest1, beta2, rest2, rate, keep;

    Numbers(const LionOptions& o, double, double learning_rate, double decay)
        : beta1{every_lane<V>(o.beta1)},
          rest1{every_lane<V>(1 - o.beta1)},
          beta2{every_lane<V>(o.beta2)},
          rest2{every_lane<V>(1 - o.beta2)},
          rate{every_lane<V>(learning_rate)},
          keep{every_lane<V>(1 - learning_rate * decay)} {}

    constexpr V operator()(V p, V g, V& momentum) const {
      const V zero = every_lane<V>(0), direction = beta1 * momentum + rest1 * g;
      momentum = beta2 * momentum + rest2 * g;
      return keep * p - select(direction > zero, rate, select(direction < zero, -rate, zero));
    }
  };
};

}  // namespace detail

/// Lion for a slice of a flat buffer, whose first element has the index `first_index` there: the parameter
/// moves by -learning_rate * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p), then m = beta2 * m + (1
/// - beta2) * g.
template <Real P, class D = Cpu>
using LionSlice = detail::ElementwiseSlice<P, detail::LionRule, D>;

/// Lion for all parameters of a model.
template <class Model>
struct Lion : ModelOptimizer<Model, LionSlice> {
  using ModelOptimizer<Model, LionSlice>::ModelOptimizer;
};
template <class Model>
Lion(const Model&, const LionOptions& = {}, ParameterLayout = {}) -> Lion<Model>;

}  // namespace burrow
