// DualNumber<T>: a value and its derivative along one direction, as an element type of tensors. Operations
// that compute with dual numbers compute their derivative as they go: forward mode. autodiff/forward.hpp
// makes transformations of functions from it.
#pragma once

#include <cmath>
#include <limits>
#include <numbers>
#include <ostream>

#include <burrow/core/dtype.hpp>

namespace burrow {

/// value + tangent e with e^2 = 0. T is float or double. A plain number is a dual number with tangent 0; a
/// dual number does not become a plain one, since its derivative would be lost. Comparisons look at the
/// values alone.
template <class T>
struct DualNumber {
  static_assert(std::same_as<T, float> || std::same_as<T, double>, "DualNumber: T is float or double");
  T value;
  T tangent;

  DualNumber() = default;
  constexpr DualNumber(T v, T t) : value{v}, tangent{t} {}
  template <std::convertible_to<T> N>
  constexpr DualNumber(N number) : value{static_cast<T>(number)}, tangent{0} {}
  template <class U>
  constexpr explicit DualNumber(DualNumber<U> other)
      : value{static_cast<T>(other.value)}, tangent{static_cast<T>(other.tangent)} {}

  friend constexpr DualNumber operator+(DualNumber a, DualNumber b) {
    return {a.value + b.value, a.tangent + b.tangent};
  }
  friend constexpr DualNumber operator-(DualNumber a, DualNumber b) {
    return {a.value - b.value, a.tangent - b.tangent};
  }
  friend constexpr DualNumber operator*(DualNumber a, DualNumber b) {
    return {a.value * b.value, a.tangent * b.value + a.value * b.tangent};
  }
  friend constexpr DualNumber operator/(DualNumber a, DualNumber b) {
    const T quotient = a.value / b.value;
    return {quotient, (a.tangent - quotient * b.tangent) / b.value};
  }
  friend constexpr DualNumber operator-(DualNumber a) { return {-a.value, -a.tangent}; }
  friend constexpr DualNumber operator+(DualNumber a) { return a; }
  constexpr DualNumber& operator+=(DualNumber b) { return *this = *this + b; }
  constexpr DualNumber& operator-=(DualNumber b) { return *this = *this - b; }
  constexpr DualNumber& operator*=(DualNumber b) { return *this = *this * b; }
  constexpr DualNumber& operator/=(DualNumber b) { return *this = *this / b; }

  friend constexpr bool operator==(DualNumber a, DualNumber b) { return a.value == b.value; }
  friend constexpr bool operator!=(DualNumber a, DualNumber b) { return a.value != b.value; }
  friend constexpr bool operator<(DualNumber a, DualNumber b) { return a.value < b.value; }
  friend constexpr bool operator<=(DualNumber a, DualNumber b) { return a.value <= b.value; }
  friend constexpr bool operator>(DualNumber a, DualNumber b) { return a.value > b.value; }
  friend constexpr bool operator>=(DualNumber a, DualNumber b) { return a.value >= b.value; }

  /// Written as (value, tangent).
  friend std::ostream& operator<<(std::ostream& out, DualNumber x) {
    return out << '(' << x.value << ", " << x.tangent << ')';
  }

  /// This number's function with value y and slope dy/dx, by the chain rule. A constant stays one, even where
  /// the slope is not finite.
  constexpr DualNumber chain(T y, T slope) const { return {y, tangent == T(0) ? T(0) : slope * tangent}; }
};

/// Functions of dual numbers: that of the value, and its slope times the tangent.
template <class T>
DualNumber<T> abs(DualNumber<T> x) {
  return x.chain(std::abs(x.value), x.value < T(0) ? T(-1) : x.value > T(0) ? T(1) : T(0));
}
template <class T>
DualNumber<T> sqrt(DualNumber<T> x) {
  const T y = std::sqrt(x.value);
  return x.chain(y, T(0.5) / y);
}
template <class T>
DualNumber<T> cbrt(DualNumber<T> x) {
  const T y = std::cbrt(x.value);
  return x.chain(y, T(1) / (T(3) * y * y));
}
template <class T>
DualNumber<T> exp(DualNumber<T> x) {
  const T y = std::exp(x.value);
  return x.chain(y, y);
}
template <class T>
DualNumber<T> exp2(DualNumber<T> x) {
  const T y = std::exp2(x.value);
  return x.chain(y, y * std::numbers::ln2_v<T>);
}
template <class T>
DualNumber<T> expm1(DualNumber<T> x) {
  const T y = std::expm1(x.value);
  return x.chain(y, y + T(1));
}
template <class T>
DualNumber<T> log(DualNumber<T> x) {
  return x.chain(std::log(x.value), T(1) / x.value);
}
template <class T>
DualNumber<T> log2(DualNumber<T> x) {
  return x.chain(std::log2(x.value), std::numbers::log2e_v<T> / x.value);
}
template <class T>
DualNumber<T> log10(DualNumber<T> x) {
  return x.chain(std::log10(x.value), std::numbers::log10e_v<T> / x.value);
}
template <class T>
DualNumber<T> log1p(DualNumber<T> x) {
  return x.chain(std::log1p(x.value), T(1) / (T(1) + x.value));
}
template <class T>
DualNumber<T> sin(DualNumber<T> x) {
  return x.chain(std::sin(x.value), std::cos(x.value));
}
template <class T>
DualNumber<T> cos(DualNumber<T> x) {
  return x.chain(std::cos(x.value), -std::sin(x.value));
}
template <class T>
DualNumber<T> tan(DualNumber<T> x) {
  const T y = std::tan(x.value);
  return x.chain(y, T(1) + y * y);
}
template <class T>
DualNumber<T> asin(DualNumber<T> x) {
  return x.chain(std::asin(x.value), T(1) / std::sqrt(T(1) - x.value * x.value));
}
template <class T>
DualNumber<T> acos(DualNumber<T> x) {
  return x.chain(std::acos(x.value), T(-1) / std::sqrt(T(1) - x.value * x.value));
}
template <class T>
DualNumber<T> atan(DualNumber<T> x) {
  return x.chain(std::atan(x.value), T(1) / (T(1) + x.value * x.value));
}
template <class T>
DualNumber<T> atan2(DualNumber<T> y, DualNumber<T> x) {
  const T squares = x.value * x.value + y.value * y.value;
  return {std::atan2(y.value, x.value), (x.value * y.tangent - y.value * x.tangent) / squares};
}
template <class T>
DualNumber<T> sinh(DualNumber<T> x) {
  return x.chain(std::sinh(x.value), std::cosh(x.value));
}
template <class T>
DualNumber<T> cosh(DualNumber<T> x) {
  return x.chain(std::cosh(x.value), std::sinh(x.value));
}
template <class T>
DualNumber<T> tanh(DualNumber<T> x) {
  const T y = std::tanh(x.value);
  return x.chain(y, T(1) - y * y);
}
template <class T>
DualNumber<T> asinh(DualNumber<T> x) {
  return x.chain(std::asinh(x.value), T(1) / std::sqrt(x.value * x.value + T(1)));
}
template <class T>
DualNumber<T> acosh(DualNumber<T> x) {
  return x.chain(std::acosh(x.value), T(1) / std::sqrt(x.value * x.value - T(1)));
}
template <class T>
DualNumber<T> atanh(DualNumber<T> x) {
  return x.chain(std::atanh(x.value), T(1) / (T(1) - x.value * x.value));
}
template <class T>
DualNumber<T> erf(DualNumber<T> x) {
  return x.chain(std::erf(x.value), T(2) * std::numbers::inv_sqrtpi_v<T> * std::exp(-x.value * x.value));
}
/// 1 - erf(x), accurate where erf(x) is near 1.
template <class T>
DualNumber<T> erfc(DualNumber<T> x) {
  return x.chain(std::erfc(x.value), T(-2) * std::numbers::inv_sqrtpi_v<T> * std::exp(-x.value * x.value));
}
/// x^y; a tangent of 0 takes no part, so that a constant power of a negative number has a derivative.
template <class T>
DualNumber<T> pow(DualNumber<T> x, DualNumber<T> y) {
  const T power = std::pow(x.value, y.value);
  T tangent = 0;
  if (x.tangent != T(0)) tangent += y.value * std::pow(x.value, y.value - T(1)) * x.tangent;
  if (y.tangent != T(0)) tangent += power * std::log(x.value) * y.tangent;
  return {power, tangent};
}
template <class T>
DualNumber<T> hypot(DualNumber<T> x, DualNumber<T> y) {
  const T h = std::hypot(x.value, y.value);
  return {h, (x.value * x.tangent + y.value * y.tangent) / h};
}
/// x - y trunc(x / y).
template <class T>
DualNumber<T> fmod(DualNumber<T> x, DualNumber<T> y) {
  return {std::fmod(x.value, y.value), x.tangent - std::trunc(x.value / y.value) * y.tangent};
}
template <class T>
DualNumber<T> floor(DualNumber<T> x) {
  return std::floor(x.value);
}
template <class T>
DualNumber<T> ceil(DualNumber<T> x) {
  return std::ceil(x.value);
}
template <class T>
DualNumber<T> trunc(DualNumber<T> x) {
  return std::trunc(x.value);
}
template <class T>
DualNumber<T> round(DualNumber<T> x) {
  return std::round(x.value);
}
/// The nearest integer, ties to even.
template <class T>
DualNumber<T> nearbyint(DualNumber<T> x) {
  return std::nearbyint(x.value);
}
template <class T>
bool isnan(DualNumber<T> x) {
  return std::isnan(x.value);
}
template <class T>
bool isinf(DualNumber<T> x) {
  return std::isinf(x.value);
}
template <class T>
bool isfinite(DualNumber<T> x) {
  return std::isfinite(x.value);
}

namespace detail {

// A dual number beside anything else gives a dual number, as wide as the other promotes its parts.
template <class T, class B>
struct promote<DualNumber<T>, B> {
  using type = DualNumber<typename promote<T, B>::type>;
};
template <class A, class T>
struct promote<A, DualNumber<T>> : promote<DualNumber<T>, A> {};
template <class T, class U>
struct promote<DualNumber<T>, DualNumber<U>> {
  using type = DualNumber<typename promote<T, U>::type>;
};
template <class T>
struct promote<DualNumber<T>, DualNumber<T>> {
  using type = DualNumber<T>;
};

}  // namespace detail

}  // namespace burrow

namespace std {
/// The limits of the values.
template <class T>
struct numeric_limits<burrow::DualNumber<T>> : numeric_limits<T> {};
}  // namespace std
