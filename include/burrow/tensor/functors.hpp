// The elementwise functors: how each computes a value from packets and, where it has one, its derivatives. A
// functor without a stated derivative gets it from dual numbers (autodiff/dual.hpp).
#pragma once

#include <numbers>
#include <tuple>

#include <burrow/core/packet_math.hpp>

namespace burrow::functors {

namespace detail {
template <class T, class... Rest>
struct promote_all {
  using type = T;
};
template <class A, class B, class... Rest>
struct promote_all<A, B, Rest...> : promote_all<promoted<A, B>, Rest...> {};
}  // namespace detail

/// Functors whose result has the promoted type of their arguments.
struct Arithmetic {
  template <class... T>
  using result = typename detail::promote_all<T...>::type;
};

/// Functors whose result is true or false.
struct Logical {
  template <class... T>
  using result = bool;
};

struct Add : Arithmetic {
  static constexpr const char* name = "operator+";
  auto operator()(auto a, auto b) const { return a + b; }
  static auto derivatives(auto a, auto, auto) { return std::tuple{decltype(a)(1), decltype(a)(1)}; }
};
struct Subtract : Arithmetic {
  static constexpr const char* name = "operator-";
  auto operator()(auto a, auto b) const { return a - b; }
  static auto derivatives(auto a, auto, auto) { return std::tuple{decltype(a)(1), decltype(a)(-1)}; }
};
struct Multiply : Arithmetic {
  static constexpr const char* name = "operator*";
  auto operator()(auto a, auto b) const { return a * b; }
  static auto derivatives(auto a, auto b, auto) { return std::tuple{b, a}; }
};
struct Divide : Arithmetic {
  static constexpr const char* name = "operator/";
  auto operator()(auto a, auto b) const { return a / b; }
  static auto derivatives(auto a, auto b, auto y) { return std::tuple{decltype(a)(1) / b, -y / b}; }
};
struct Negate : Arithmetic {
  static constexpr const char* name = "operator-";
  auto operator()(auto a) const { return -a; }
  static auto derivatives(auto a, auto) { return std::tuple{decltype(a)(-1)}; }
};
/// The larger of two; where both are equal the gradient goes to the first.
struct Maximum : Arithmetic {
  static constexpr const char* name = "maximum";
  auto operator()(auto a, auto b) const { return maximum(a, b); }
  static auto derivatives(auto a, auto b, auto) {
    using P = decltype(a);
    return std::tuple{select(b > a, P(0), P(1)), select(b > a, P(1), P(0))};
  }
};
/// The smaller of two; where both are equal the gradient goes to the first.
struct Minimum : Arithmetic {
  static constexpr const char* name = "minimum";
  auto operator()(auto a, auto b) const { return minimum(a, b); }
  static auto derivatives(auto a, auto b, auto) {
    using P = decltype(a);
    return std::tuple{select(b < a, P(0), P(1)), select(b < a, P(1), P(0))};
  }
};
struct Power : Arithmetic {
  static constexpr const char* name = "pow";
  auto operator()(auto a, auto b) const { return pow(a, b); }
  static auto derivatives(auto a, auto b, auto y) {
    return std::tuple{b * pow(a, b - decltype(b)(1)), y * log(a)};
  }
};
struct Exp : Arithmetic {
  static constexpr const char* name = "exp";
  auto operator()(auto x) const { return exp(x); }
  static auto derivatives(auto, auto y) { return std::tuple{y}; }
};
struct Expm1 : Arithmetic {
  static constexpr const char* name = "expm1";
  auto operator()(auto x) const { return expm1(x); }
  static auto derivatives(auto, auto y) { return std::tuple{y + decltype(y)(1)}; }
};
struct Log : Arithmetic {
  static constexpr const char* name = "log";
  auto operator()(auto x) const { return log(x); }
  static auto derivatives(auto x, auto) { return std::tuple{decltype(x)(1) / x}; }
};
struct Log1p : Arithmetic {
  static constexpr const char* name = "log1p";
  auto operator()(auto x) const { return log1p(x); }
  static auto derivatives(auto x, auto) { return std::tuple{decltype(x)(1) / (decltype(x)(1) + x)}; }
};
struct Sqrt : Arithmetic {
  static constexpr const char* name = "sqrt";
  auto operator()(auto x) const { return sqrt(x); }
  static auto derivatives(auto x, auto y) { return std::tuple{decltype(x)(0.5f) / y}; }
};
struct Square : Arithmetic {
  static constexpr const char* name = "square";
  auto operator()(auto x) const { return x * x; }
  static auto derivatives(auto x, auto) { return std::tuple{x + x}; }
};
struct Abs : Arithmetic {
  static constexpr const char* name = "abs";
  auto operator()(auto x) const { return abs(x); }
  static auto derivatives(auto x, auto) {
    using P = decltype(x);
    return std::tuple{select(x < P(0), P(-1), select(x > P(0), P(1), P(0)))};
  }
};
struct Sin : Arithmetic {
  static constexpr const char* name = "sin";
  auto operator()(auto x) const { return sin(x); }
  static auto derivatives(auto x, auto) { return std::tuple{cos(x)}; }
};
struct Cos : Arithmetic {
  static constexpr const char* name = "cos";
  auto operator()(auto x) const { return cos(x); }
  static auto derivatives(auto x, auto) { return std::tuple{-sin(x)}; }
};
struct Tanh : Arithmetic {
  static constexpr const char* name = "tanh";
  auto operator()(auto x) const { return tanh(x); }
  static auto derivatives(auto, auto y) { return std::tuple{decltype(y)(1) - y * y}; }
};
struct Erf : Arithmetic {
  static constexpr const char* name = "erf";
  auto operator()(auto x) const { return erf(x); }
  static auto derivatives(auto x, auto) {
    using P = decltype(x);
    using T = typename P::value_type;
    return std::tuple{P(T(2 * std::numbers::inv_sqrtpi)) * exp(-x * x)};
  }
};
/// 1 / (1 + e^-x).
struct Sigmoid : Arithmetic {
  static constexpr const char* name = "sigmoid";
  auto operator()(auto x) const { return decltype(x)(1) / (decltype(x)(1) + exp(-x)); }
  static auto derivatives(auto, auto y) { return std::tuple{y * (decltype(y)(1) - y)}; }
};
struct Relu : Arithmetic {
  static constexpr const char* name = "relu";
  auto operator()(auto x) const { return maximum(x, decltype(x)(0)); }
  static auto derivatives(auto x, auto) {
    using P = decltype(x);
    return std::tuple{select(x > P(0), P(1), P(0))};
  }
};
/// x sigmoid(x).
struct Silu : Arithmetic {
  static constexpr const char* name = "silu";
  auto operator()(auto x) const { return x / (decltype(x)(1) + exp(-x)); }
  static auto derivatives(auto x, auto y) {
    using P = decltype(x);
    const P s = P(1) / (P(1) + exp(-x));
    return std::tuple{s + y * (P(1) - s)};
  }
};
/// GELU in the tanh form that GPT-2's code uses: x/2 (1 + tanh u) = x sigmoid(2 u), u = sqrt(2/pi) (x +
/// 0.044715 x^3).
struct Gelu : Arithmetic {
  static constexpr const char* name = "gelu";
  template <class P>
  static P gate(P x) {
    using T = typename P::value_type;
    constexpr T scale = T(-2 * 0.7978845608028654);
    return P(1) / (P(1) + exp(x * (P(scale) + P(scale * T(0.044715)) * x * x)));
  }
  auto operator()(auto x) const { return x * gate(x); }
  static auto derivatives(auto x, auto y) {
    using P = decltype(x);
    using T = typename P::value_type;
    const P s = gate(x);
    constexpr T scale = T(2 * 0.7978845608028654);
    const P inner = P(scale) + P(scale * T(3 * 0.044715)) * x * x;
    return std::tuple{s + y * (P(1) - s) * inner};
  }
};
/// log(1 + e^x), computed without overflow.
struct Softplus : Arithmetic {
  static constexpr const char* name = "softplus";
  auto operator()(auto x) const { return maximum(x, decltype(x)(0)) + log1p(exp(-abs(x))); }
  static auto derivatives(auto x, auto) { return std::tuple{decltype(x)(1) / (decltype(x)(1) + exp(-x))}; }
};

struct Less : Logical {
  static constexpr const char* name = "operator<";
  auto operator()(auto a, auto b) const { return a < b; }
};
struct LessEqual : Logical {
  static constexpr const char* name = "operator<=";
  auto operator()(auto a, auto b) const { return a <= b; }
};
struct Equal : Logical {
  static constexpr const char* name = "operator==";
  auto operator()(auto a, auto b) const { return a == b; }
};
struct NotEqual : Logical {
  static constexpr const char* name = "operator!=";
  auto operator()(auto a, auto b) const { return a != b; }
};
struct And : Logical {
  static constexpr const char* name = "operator&&";
  auto operator()(auto a, auto b) const { return a && b; }
};
struct Or : Logical {
  static constexpr const char* name = "operator||";
  auto operator()(auto a, auto b) const { return a || b; }
};
struct Not : Logical {
  static constexpr const char* name = "operator!";
  auto operator()(auto a) const { return !a; }
};

/// a where the condition is true, b elsewhere.
struct Where {
  template <class Condition, class A, class B>
  using result = promoted<A, B>;
  static constexpr const char* name = "where";
  auto operator()(auto condition, auto a, auto b) const { return select(condition, a, b); }
  static auto derivatives(auto condition, auto a, auto, auto) {
    using P = decltype(a);
    return std::tuple{P(0), select(condition, P(1), P(0)), select(condition, P(0), P(1))};
  }
};

/// The same value as another element type.
template <class To>
struct Cast {
  using keeps_type = void;  // the argument comes as it is; the result is converted
  template <class>
  using result = To;
  static constexpr const char* name = "cast";
  auto operator()(auto x) const { return x; }
  static auto derivatives(auto x, auto) { return std::tuple{decltype(x)(1)}; }
};

}  // namespace burrow::functors
