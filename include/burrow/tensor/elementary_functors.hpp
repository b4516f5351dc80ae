// The functors of the functions of mathematics, with their derivatives.
#pragma once

#include <limits>
#include <numbers>
#include <tuple>

#include <burrow/tensor/functors.hpp>

namespace burrow::functors {

namespace detail {
/// A packet of the given number.
template <class P>
constexpr P constant(P, double value) {
  return P(static_cast<typename P::value_type>(value));
}
}  // namespace detail

struct Power : Numeric {
  static constexpr const char* name = "pow";
  constexpr auto operator()(auto a, auto b) const { return pow(a, b); }
  static constexpr auto derivatives(auto a, auto b, auto y) {
    return std::tuple{b * pow(a, b - decltype(b)(1)), y * log(a)};
  }
};
struct Exp : Floating {
  static constexpr const char* name = "exp";
  constexpr auto operator()(auto x) const { return exp(x); }
  static constexpr auto derivatives(auto, auto y) { return std::tuple{y}; }
};
struct Expm1 : Floating {
  static constexpr const char* name = "expm1";
  constexpr auto operator()(auto x) const { return expm1(x); }
  static constexpr auto derivatives(auto, auto y) { return std::tuple{y + decltype(y)(1)}; }
};
struct Log : Floating {
  static constexpr const char* name = "log";
  constexpr auto operator()(auto x) const { return log(x); }
  static constexpr auto derivatives(auto x, auto) { return std::tuple{decltype(x)(1) / x}; }
};
struct Log1p : Floating {
  static constexpr const char* name = "log1p";
  constexpr auto operator()(auto x) const { return log1p(x); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{decltype(x)(1) / (decltype(x)(1) + x)};
  }
};
struct Sqrt : Floating {
  static constexpr const char* name = "sqrt";
  constexpr auto operator()(auto x) const { return sqrt(x); }
  static constexpr auto derivatives(auto x, auto y) { return std::tuple{decltype(x)(0.5f) / y}; }
};
struct Square : Numeric {
  static constexpr const char* name = "square";
  constexpr auto operator()(auto x) const { return x * x; }
  static constexpr auto derivatives(auto x, auto) { return std::tuple{x + x}; }
};
struct Abs : Numeric {
  static constexpr const char* name = "abs";
  constexpr auto operator()(auto x) const { return abs(x); }
  static constexpr auto derivatives(auto x, auto) {
    using P = decltype(x);
    return std::tuple{select(x < P(0), P(-1), select(x > P(0), P(1), P(0)))};
  }
};
struct Sin : Floating {
  static constexpr const char* name = "sin";
  constexpr auto operator()(auto x) const { return sin(x); }
  static constexpr auto derivatives(auto x, auto) { return std::tuple{cos(x)}; }
};
struct Cos : Floating {
  static constexpr const char* name = "cos";
  constexpr auto operator()(auto x) const { return cos(x); }
  static constexpr auto derivatives(auto x, auto) { return std::tuple{-sin(x)}; }
};
struct Tanh : Floating {
  static constexpr const char* name = "tanh";
  constexpr auto operator()(auto x) const { return tanh(x); }
  static constexpr auto derivatives(auto, auto y) { return std::tuple{decltype(y)(1) - y * y}; }
};
struct Erf : Floating {
  static constexpr const char* name = "erf";
  constexpr auto operator()(auto x) const { return erf(x); }
  static constexpr auto derivatives(auto x, auto) {
    using P = decltype(x);
    using T = typename P::value_type;
    return std::tuple{P(T(2 * std::numbers::inv_sqrtpi)) * exp(-x * x)};
  }
};
struct Exp2 : Floating {
  static constexpr const char* name = "exp2";
  constexpr auto operator()(auto x) const { return exp2(x); }
  static constexpr auto derivatives(auto, auto y) {
    return std::tuple{y * detail::constant(y, std::numbers::ln2)};
  }
};
struct Log2 : Floating {
  static constexpr const char* name = "log2";
  constexpr auto operator()(auto x) const { return log2(x); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{detail::constant(x, std::numbers::log2e) / x};
  }
};
struct Log10 : Floating {
  static constexpr const char* name = "log10";
  constexpr auto operator()(auto x) const { return log10(x); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{detail::constant(x, std::numbers::log10e) / x};
  }
};
/// 1 / sqrt x.
struct Rsqrt : Floating {
  static constexpr const char* name = "rsqrt";
  constexpr auto operator()(auto x) const { return decltype(x)(1) / sqrt(x); }
  static constexpr auto derivatives(auto x, auto y) { return std::tuple{decltype(x)(-0.5f) * y / x}; }
};
struct Cbrt : Floating {
  static constexpr const char* name = "cbrt";
  constexpr auto operator()(auto x) const { return cbrt(x); }
  static constexpr auto derivatives(auto, auto y) {
    return std::tuple{decltype(y)(1) / (decltype(y)(3) * y * y)};
  }
};
/// 1 / x.
struct Reciprocal : Floating {
  static constexpr const char* name = "reciprocal";
  constexpr auto operator()(auto x) const { return decltype(x)(1) / x; }
  static constexpr auto derivatives(auto, auto y) { return std::tuple{-y * y}; }
};
struct Tan : Floating {
  static constexpr const char* name = "tan";
  constexpr auto operator()(auto x) const { return tan(x); }
  static constexpr auto derivatives(auto, auto y) { return std::tuple{decltype(y)(1) + y * y}; }
};
struct Asin : Floating {
  static constexpr const char* name = "asin";
  constexpr auto operator()(auto x) const { return asin(x); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{decltype(x)(1) / sqrt((decltype(x)(1) - x) * (decltype(x)(1) + x))};
  }
};
struct Acos : Floating {
  static constexpr const char* name = "acos";
  constexpr auto operator()(auto x) const { return acos(x); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{decltype(x)(-1) / sqrt((decltype(x)(1) - x) * (decltype(x)(1) + x))};
  }
};
struct Atan : Floating {
  static constexpr const char* name = "atan";
  constexpr auto operator()(auto x) const { return atan(x); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{decltype(x)(1) / (decltype(x)(1) + x * x)};
  }
};
struct Sinh : Floating {
  static constexpr const char* name = "sinh";
  constexpr auto operator()(auto x) const { return sinh(x); }
  static constexpr auto derivatives(auto x, auto) { return std::tuple{cosh(x)}; }
};
struct Cosh : Floating {
  static constexpr const char* name = "cosh";
  constexpr auto operator()(auto x) const { return cosh(x); }
  static constexpr auto derivatives(auto x, auto) { return std::tuple{sinh(x)}; }
};
struct Asinh : Floating {
  static constexpr const char* name = "asinh";
  constexpr auto operator()(auto x) const { return asinh(x); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{decltype(x)(1) / sqrt(x * x + decltype(x)(1))};
  }
};
struct Acosh : Floating {
  static constexpr const char* name = "acosh";
  constexpr auto operator()(auto x) const { return acosh(x); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{decltype(x)(1) / sqrt((x - decltype(x)(1)) * (x + decltype(x)(1)))};
  }
};
struct Atanh : Floating {
  static constexpr const char* name = "atanh";
  constexpr auto operator()(auto x) const { return atanh(x); }
  static constexpr auto derivatives(auto x, auto) {
    return std::tuple{decltype(x)(1) / ((decltype(x)(1) - x) * (decltype(x)(1) + x))};
  }
};
/// The angle of the point (x, y), from -pi to pi.
struct Atan2 : Floating {
  static constexpr const char* name = "atan2";
  constexpr auto operator()(auto y, auto x) const { return atan2(y, x); }
  static constexpr auto derivatives(auto y, auto x, auto) {
    const auto squares = x * x + y * y;
    return std::tuple{x / squares, -y / squares};
  }
};
/// sqrt(x^2 + y^2) without overflow.
struct Hypot : Floating {
  static constexpr const char* name = "hypot";
  constexpr auto operator()(auto x, auto y) const { return hypot(x, y); }
  static constexpr auto derivatives(auto x, auto y, auto h) { return std::tuple{x / h, y / h}; }
};
/// Steps: their derivative is 0. Integers stay as they are.
struct Step : Numeric {
  static constexpr auto derivatives(auto x, auto) { return std::tuple{decltype(x)(0)}; }
};
struct Floor : Step {
  static constexpr const char* name = "floor";
  constexpr auto operator()(auto x) const { return floor(x); }
};
struct Ceil : Step {
  static constexpr const char* name = "ceil";
  constexpr auto operator()(auto x) const { return ceil(x); }
};
/// The nearest integer, ties to even.
struct Round : Step {
  static constexpr const char* name = "round";
  constexpr auto operator()(auto x) const { return round(x); }
};
struct Trunc : Step {
  static constexpr const char* name = "trunc";
  constexpr auto operator()(auto x) const { return trunc(x); }
};
/// -1, 0 or 1.
struct Sign : Step {
  static constexpr const char* name = "sign";
  constexpr auto operator()(auto x) const { return sign(x); }
};
/// The remainder of x / y with the sign of x.
struct Fmod : Numeric {
  static constexpr const char* name = "fmod";
  constexpr auto operator()(auto x, auto y) const { return fmod(x, y); }
  static constexpr auto derivatives(auto x, auto y, auto) {
    return std::tuple{decltype(x)(1), -trunc(x / y)};
  }
};
/// The remainder of x / y with the sign of y.
struct Remainder : Numeric {
  static constexpr const char* name = "remainder";
  constexpr auto operator()(auto x, auto y) const { return remainder(x, y); }
  static constexpr auto derivatives(auto x, auto y, auto) {
    return std::tuple{decltype(x)(1), -floor(x / y)};
  }
};
/// x / y rounded down.
struct FloorDivide : Numeric {
  static constexpr const char* name = "floor_divide";
  constexpr auto operator()(auto x, auto y) const { return floor_divide(x, y); }
  static constexpr auto derivatives(auto x, auto, auto) { return std::tuple{decltype(x)(0), decltype(x)(0)}; }
};
/// Questions about floating-point values; those of integers are finite.
struct Classification : Logical {
  using takes_real = void;
  static constexpr auto size(auto x) { return abs(x); }
  template <class P>
  static constexpr P infinity(P) {
    return P(std::numeric_limits<typename P::value_type>::infinity());
  }
};
struct IsNan : Classification {
  static constexpr const char* name = "isnan";
  constexpr auto operator()(auto x) const { return x != x; }
};
struct IsInf : Classification {
  static constexpr const char* name = "isinf";
  constexpr auto operator()(auto x) const { return size(x) == infinity(x); }
};
struct IsFinite : Classification {
  static constexpr const char* name = "isfinite";
  constexpr auto operator()(auto x) const { return size(x) < infinity(x); }
};

}  // namespace burrow::functors
