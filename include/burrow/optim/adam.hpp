// Adam, and AdamW: with decoupled weight decay. Sources: Kingma & Ba 2015, Loshchilov & Hutter 2019.
#pragma once

#include <cmath>

#include <burrow/optim/elementwise_slice.hpp>

namespace burrow {

/// The numbers of Adam. A `weight_decay` other than 0 makes it AdamW: parameters also shrink by
/// learning_rate * weight_decay, which no moment sees.
struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;     ///< of the gradients' moving average
  double beta2 = 0.999;   ///< of the squares' moving average
  double epsilon = 1e-8;  ///< added to the root of the second moment
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

namespace detail {

struct AdamRule {
  using options = AdamOptions;
  static constexpr std::array<std::string_view, 3> names{"adam.first_moment", "adam.second_moment",
                                                         "adam.parameters_fp32"};
  static constexpr std::size_t remembers(const AdamOptions&) { return 2; }
  static constexpr const char* negative_rate = "Adam: the learning rate is negative";
  static void check(const AdamOptions& options, Location where) {
    require_option(options.beta1 >= 0 && options.beta1 < 1, "Adam: beta1 is not in [0, 1)", where);
    require_option(options.beta2 >= 0 && options.beta2 < 1, "Adam: beta2 is not in [0, 1)", where);
    require_option(options.epsilon > 0, "Adam: epsilon is not positive", where);
    require_option(options.weight_decay >= 0, "Adam: the weight decay is negative", where);
  }

  template <class V>
  struct Numbers {
    V beta1, rest1, beta2, rest2, epsilon, root_correction, rate, keep;

    Numbers(const AdamOptions& o, double step, double learning_rate, double decay)
        : beta1{every_lane<V>(o.beta1)},
          rest1{every_lane<V>(1 - o.beta1)},
          beta2{every_lane<V>(o.beta2)},
          rest2{every_lane<V>(1 - o.beta2)},
          epsilon{every_lane<V>(o.epsilon)},
          root_correction{every_lane<V>(1 / std::sqrt(1 - std::pow(o.beta2, step)))},
          rate{every_lane<V>(learning_rate / (1 - std::pow(o.beta1, step)))},
          keep{every_lane<V>(1 - learning_rate * decay)} {}

    constexpr V operator()(V p, V g, V& first, V& second) const {
      first = beta1 * first + rest1 * g;
      second = beta2 * second + rest2 * (g * g);
      return keep * p - rate * first / (sqrt(second) * root_correction + epsilon);
    }
  };
};

}  // namespace detail

/// Adam for a slice of a flat buffer, whose first element has the index `first_index` there.
template <Real P, class D = Cpu>
using AdamSlice = detail::ElementwiseSlice<P, detail::AdamRule, D>;

/// Adam for all parameters of a model.
template <class Model>
struct Adam : ModelOptimizer<Model, AdamSlice> {
  using ModelOptimizer<Model, AdamSlice>::ModelOptimizer;
};
template <class Model>
Adam(const Model&, const AdamOptions& = {}, ParameterLayout = {}) -> Adam<Model>;

}  // namespace burrow
