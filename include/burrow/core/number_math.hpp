// The functions of mathematics on one number, as objects: the standard library's for its types, and for other
// element types those that they bring along.
#pragma once

#include <cmath>

namespace burrow::detail::number {

inline constexpr auto abs = [](auto x) {
  using std::abs;
  return abs(x);
};
inline constexpr auto sqrt = [](auto x) {
  using std::sqrt;
  return sqrt(x);
};
inline constexpr auto exp = [](auto x) {
  using std::exp;
  return exp(x);
};
inline constexpr auto exp2 = [](auto x) {
  using std::exp2;
  return exp2(x);
};
inline constexpr auto expm1 = [](auto x) {
  using std::expm1;
  return expm1(x);
};
inline constexpr auto log = [](auto x) {
  using std::log;
  return log(x);
};
inline constexpr auto log2 = [](auto x) {
  using std::log2;
  return log2(x);
};
inline constexpr auto log10 = [](auto x) {
  using std::log10;
  return log10(x);
};
inline constexpr auto log1p = [](auto x) {
  using std::log1p;
  return log1p(x);
};
inline constexpr auto sin = [](auto x) {
  using std::sin;
  return sin(x);
};
inline constexpr auto cos = [](auto x) {
  using std::cos;
  return cos(x);
};
inline constexpr auto tan = [](auto x) {
  using std::tan;
  return tan(x);
};
inline constexpr auto asin = [](auto x) {
  using std::asin;
  return asin(x);
};
inline constexpr auto acos = [](auto x) {
  using std::acos;
  return acos(x);
};
inline constexpr auto atan = [](auto x) {
  using std::atan;
  return atan(x);
};
inline constexpr auto sinh = [](auto x) {
  using std::sinh;
  return sinh(x);
};
inline constexpr auto cosh = [](auto x) {
  using std::cosh;
  return cosh(x);
};
inline constexpr auto asinh = [](auto x) {
  using std::asinh;
  return asinh(x);
};
inline constexpr auto acosh = [](auto x) {
  using std::acosh;
  return acosh(x);
};
inline constexpr auto atanh = [](auto x) {
  using std::atanh;
  return atanh(x);
};
inline constexpr auto cbrt = [](auto x) {
  using std::cbrt;
  return cbrt(x);
};
inline constexpr auto tanh = [](auto x) {
  using std::tanh;
  return tanh(x);
};
inline constexpr auto erf = [](auto x) {
  using std::erf;
  return erf(x);
};
inline constexpr auto nearbyint = [](auto x) {
  using std::nearbyint;
  return nearbyint(x);
};
inline constexpr auto floor = [](auto x) {
  using std::floor;
  return floor(x);
};
inline constexpr auto ceil = [](auto x) {
  using std::ceil;
  return ceil(x);
};
inline constexpr auto trunc = [](auto x) {
  using std::trunc;
  return trunc(x);
};

inline constexpr auto atan2 = [](auto x, auto y) {
  using std::atan2;
  return atan2(x, y);
};
inline constexpr auto hypot = [](auto x, auto y) {
  using std::hypot;
  return hypot(x, y);
};
inline constexpr auto pow = [](auto x, auto y) {
  using std::pow;
  return pow(x, y);
};
inline constexpr auto fmod = [](auto x, auto y) {
  using std::fmod;
  return fmod(x, y);
};

}  // namespace burrow::detail::number
