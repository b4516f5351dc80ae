// The activation functions of neural networks, elementwise and lazy.
#pragma once

#include <burrow/tensor/functions.hpp>

namespace burrow {

namespace functors {

/// 1 / (1 + e^-x).
struct Sigmoid : Floating {
  static constexpr const char* name = "sigmoid";
  constexpr auto operator()(auto x) const { return decltype(x)(1) / (decltype(x)(1) + exp(-x)); }
  static constexpr auto derivatives(auto, auto y) { return std::tuple{y * (decltype(y)(1) - y)}; }
};
struct Relu : Numeric {
  static constexpr const char* name = "relu";
  constexpr auto operator()(auto x) const { return maximum(x, decltype(x)(0)); }
  static constexpr auto derivatives(auto x, auto) {
    using P = decltype(x);
    return std::tuple{select(x > P(0), P(1), P(0))};
  }
};
/// x sigmoid(x).
struct Silu : Floating {
  static constexpr const char* name = "silu";
  constexpr auto operator()(auto x) const { return x / (decltype(x)(1) + exp(-x)); }
  static constexpr auto derivatives(auto x, auto y) {
    using P = decltype(x);
    const P s = P(1) / (P(1) + exp(-x));
    return std::tuple{s + y * (P(1) - s)};
  }
};
/// GELU in the tanh form that GPT-2's code uses: x/2 (1 + tanh u) = x sigmoid(2 u), u = sqrt(2/pi) (x +
/// 0.044715 x^3).
struct Gelu : Floating {
  static constexpr const char* name = "gelu";
  template <class P>
  static constexpr P gate(P x) {
    using T = typename P::value_type;
    constexpr T scale = T(-2 * 0.7978845608028654);
    return P(1) / (P(1) + exp(x * (P(scale) + P(scale * T(0.044715)) * x * x)));
  }
  constexpr auto operator()(auto x) const { return x * gate(x); }
  static constexpr auto derivatives(auto x, auto y) {
    using P = decltype(x);
    using T = typename P::value_type;
    const P s = gate(x);
    constexpr T scale = T(2 * 0.7978845608028654);
    const P inner = P(scale) + P(scale * T(3 * 0.044715)) * x * x;
    return std::tuple{s + y * (P(1) - s) * inner};
  }
};
/// log(1 + e^x), computed without overflow.
struct Softplus : Floating {
  static constexpr const char* name = "softplus";
  constexpr auto operator()(auto x) const { return maximum(x, decltype(x)(0)) + log1p(exp(-abs(x))); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{decltype(x)(1) / (decltype(x)(1) + exp(-x))};
  }
};

/// x Phi(x) with the distribution function of the normal distribution, Phi(x) = (1 + erf(x / sqrt 2)) / 2.
struct GeluErf : Floating {
  static constexpr const char* name = "gelu_erf";
  static constexpr auto distribution(auto x) {
    using P = decltype(x);
    return P(0.5f) + P(0.5f) * erf(x * detail::constant(x, 1 / std::numbers::sqrt2));
  }
  constexpr auto operator()(auto x) const { return x * distribution(x); }
  static constexpr auto derivatives(auto x, auto) {
    using P = decltype(x);
    const P density = detail::constant(x, 0.3989422804014326779) * exp(P(-0.5f) * x * x);
    return std::tuple{distribution(x) + x * density};
  }
};
/// x above 0, slope x below.
struct LeakyRelu : Floating {
  static constexpr const char* name = "leaky_relu";
  constexpr auto operator()(auto x, auto slope) const { return select(x > decltype(x)(0), x, slope * x); }
  static constexpr auto derivatives(auto x, auto slope, auto) {
    using P = decltype(x);
    const auto above = x > P(0);
    return std::tuple{select(above, P(1), slope), select(above, P(0), x)};
  }
};
/// x above 0, alpha (e^x - 1) below.
struct Elu : Floating {
  static constexpr const char* name = "elu";
  constexpr auto operator()(auto x, auto alpha) const {
    return select(x > decltype(x)(0), x, alpha * expm1(x));
  }
  static constexpr auto derivatives(auto x, auto alpha, auto y) {
    using P = decltype(x);
    const auto above = x > P(0);
    return std::tuple{select(above, P(1), y + alpha), select(above, P(0), expm1(x))};
  }
};
/// x / 6 clamp(x + 3, 0, 6).
struct HardSwish : Floating {
  static constexpr const char* name = "hard_swish";
  constexpr auto operator()(auto x) const {
    using P = decltype(x);
    return x * minimum(maximum(x + P(3), P(0)), P(6)) / P(6);
  }
};
/// x tanh(softplus(x)).
struct Mish : Floating {
  static constexpr const char* name = "mish";
  constexpr auto operator()(auto x) const { return x * tanh(Softplus{}(x)); }
};
/// x / (1 + |x|).
struct Softsign : Floating {
  static constexpr const char* name = "softsign";
  constexpr auto operator()(auto x) const { return x / (decltype(x)(1) + abs(x)); }
  static constexpr auto derivatives(auto x, auto) {
    const auto inverse = decltype(x)(1) / (decltype(x)(1) + abs(x));
    return std::tuple{inverse * inverse};
  }
};

}  // namespace functors

/// 1 / (1 + e^-x).
template <Expression X>
auto sigmoid(const X& x) {
  return map(functors::Sigmoid{}, x);
}
/// x above 0, 0 below; its gradient is 0 at 0.
template <Expression X>
auto relu(const X& x) -> detail::Mapped<functors::Relu, X> {
  return map(functors::Relu{}, x);
}
/// x sigmoid(x).
template <Expression X>
auto silu(const X& x) {
  return map(functors::Silu{}, x);
}
/// GELU in GPT-2's tanh form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
template <Expression X>
auto gelu(const X& x) {
  return map(functors::Gelu{}, x);
}
/// log(1 + e^x).
template <Expression X>
auto softplus(const X& x) {
  return map(functors::Softplus{}, x);
}

/// GELU as defined, x Phi(x) with the distribution function of the normal distribution (Hendrycks and Gimpel
/// 2016).
template <Expression X>
auto gelu_erf(const X& x) {
  return map(functors::GeluErf{}, x);
}
/// log(sigmoid(x)).
template <Expression X>
auto log_sigmoid(const X& x) {
  return -softplus(-x);
}
/// x above 0, slope x below; the slope is a number or an expression.
template <Expression X, class Slope = float>
requires Elementwise<X, Slope>
auto leaky_relu(const X& x, const Slope& slope = 0.01f, Location where = Location::here())
    -> detail::Pair<functors::LeakyRelu, X, Slope> {
  return detail::map_pair(functors::LeakyRelu{}, x, slope, where);
}
/// x above 0, alpha (e^x - 1) below (Clevert et al. 2015); alpha is a number or an expression.
template <Expression X, class Alpha = float>
requires Elementwise<X, Alpha>
auto elu(const X& x, const Alpha& alpha = 1.0f, Location where = Location::here())
    -> detail::Pair<functors::Elu, X, Alpha> {
  return detail::map_pair(functors::Elu{}, x, alpha, where);
}
/// 1.0507 elu(x, 1.6733), with which activations keep mean 0 and variance 1 (Klambauer et al. 2017).
template <Expression X>
auto selu(const X& x) {
  return elu(x, 1.6732632423543772) * 1.0507009873554805;
}
/// x tanh(softplus(x)) (Misra 2019).
template <Expression X>
auto mish(const X& x) {
  return map(functors::Mish{}, x);
}
/// x / (1 + |x|).
template <Expression X>
auto softsign(const X& x) {
  return map(functors::Softsign{}, x);
}
/// x limited to [-1, 1].
template <Expression X>
auto hardtanh(const X& x) {
  return clamp(x, -1.0f, 1.0f);
}
/// x limited to [0, 6].
template <Expression X>
auto relu6(const X& x) {
  return clamp(x, 0, 6);
}
/// x / 6 + 1/2 limited to [0, 1].
template <Expression X>
auto hard_sigmoid(const X& x) {
  return clamp(x * (1.0 / 6) + 0.5f, 0, 1);
}
/// x hard_sigmoid(x).
template <Expression X>
auto hard_swish(const X& x) {
  return map(functors::HardSwish{}, x);
}

}  // namespace burrow
