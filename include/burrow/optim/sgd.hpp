// Stochastic gradient descent with momentum: the heavy ball (Polyak 1964), Nesterov's method (Sutskever et
// al. 2013), and dampening, which makes of the velocity an average.
#pragma once

#include <burrow/optim/elementwise_slice.hpp>

namespace burrow {

/// The numbers of gradient descent. `weight_decay` is decoupled: parameters also shrink by learning_rate *
/// weight_decay, which the momentum does not see.
struct SgdOptions {
  double learning_rate = 1e-2;
  double momentum = 0;
  double dampening = 0;   ///< with `dampening` = `momentum` the velocity is a moving average of gradients
  bool nesterov = false;  ///< looks ahead by the momentum; needs one, and no dampening
  double weight_decay = 0;
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

namespace detail {

struct SgdRule {
  using options = SgdOptions;
  static constexpr std::array<std::string_view, 2> names{"sgd.velocity", "sgd.parameters_fp32"};
  static constexpr std::size_t remembers(const SgdOptions& options) { return options.momentum > 0 ? 1 : 0; }
  static constexpr const char* negative_rate = "Sgd: the learning rate is negative";
  static void check(const SgdOptions& options, Location where) {
    require_option(options.momentum >= 0 && options.momentum < 1, "Sgd: the momentum is not in [0, 1)",
                   where);
    require_option(options.dampening >= 0 && options.dampening <= options.momentum,
                   "Sgd: the dampening is not in [0, momentum]", where);
    require_option(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
                   "Sgd: Nesterov's method needs a momentum and no dampening", where);
    require_option(options.weight_decay >= 0, "Sgd: the weight decay is negative", where);
  }

  template <class V>
  struct Numbers {
    V momentum, fresh, rate, keep;
    bool nesterov;

    Numbers(const SgdOptions& o, double, double learning_rate, double decay)
        : momentum{every_lane<V>(o.momentum)},
          fresh{every_lane<V>(1 - o.dampening)},
          rate{every_lane<V>(learning_rate)},
          keep{every_lane<V>(1 - learning_rate * decay)},
          nesterov{o.nesterov} {}

    constexpr V operator()(V p, V g) const { return keep * p - rate * g; }
    constexpr V operator()(V p, V g, V& velocity) const {
      velocity = momentum * velocity + fresh * g;
      V change = velocity;
      if (nesterov) change = g + momentum * velocity;
      return (*this)(p, change);
    }
  };
};

}  // namespace detail

/// Gradient descent for a slice of a flat buffer, whose first element has the index `first_index` there:
/// velocity = momentum * velocity + (1 - dampening) * gradient, from 0 on; the parameter moves by
/// -learning_rate * velocity, or, with Nesterov's momentum, by -learning_rate * (gradient + momentum *
/// velocity).
template <Real P, class D = Cpu>
using SgdSlice = detail::ElementwiseSlice<P, detail::SgdRule, D>;

/// Gradient descent for all parameters of a model.
template <class Model>
struct Sgd : ModelOptimizer<Model, SgdSlice> {
  using ModelOptimizer<Model, SgdSlice>::ModelOptimizer;
};
template <class Model>
Sgd(const Model&, const SgdOptions& = {}, ParameterLayout = {}) -> Sgd<Model>;

}  // namespace burrow
