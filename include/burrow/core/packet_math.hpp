// The functions of mathematics on packets. Those without a kernel for vectors are computed one lane at a time
// by the standard library, or by the functions that an element type brings along.
#pragma once

#include <burrow/core/number_math.hpp>
#include <burrow/core/packet_kernels.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments lose nothing here
#pragma GCC diagnostic ignored "-Wuninitialized"       // g++ 12's own AVX-512 intrinsics start that way
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace burrow {

/// Types that the functions of real numbers take; integers are converted before.
template <class T>
concept Inexact = !std::is_integral_v<T>;

namespace detail {
/// Applies a function of one number to each lane.
template <class T, int N, class F>
constexpr Packet<T, N> lanewise(Packet<T, N> x, F f) {
  if constexpr (N == 1) {
    return static_cast<T>(f(x.v));
  } else {
    alignas(64) T buffer[N];
    x.store(buffer);
    for (int i = 0; i < N; ++i) buffer[i] = static_cast<T>(f(buffer[i]));
    return Packet<T, N>::load(buffer);
  }
}
template <class T, int N, class F>
constexpr Packet<T, N> lanewise(Packet<T, N> x, Packet<T, N> y, F f) {
  if constexpr (N == 1) {
    return static_cast<T>(f(x.v, y.v));
  } else {
    alignas(64) T a[N], b[N];
    x.store(a);
    y.store(b);
    for (int i = 0; i < N; ++i) a[i] = static_cast<T>(f(a[i], b[i]));
    return Packet<T, N>::load(a);
  }
}

template <class T, int N>
Packet<T, N> floor_vector(Packet<T, N> x) {
  const Packet<T, N> nearest = round_vector(x), one(T(1));
  return select(nearest > x, nearest - one, nearest);
}

/// The sine of x (Quarter 0) or its cosine (Quarter 1).
template <int Quarter, class T, int N>
__attribute__((noinline)) Packet<T, N> sine(Packet<T, N> x) {
  const Packet<T, N> one(T(1)), zero(T(0)), limit(SineSeries<T>::limit);
  if (reduce_add(select(abs(x) <= limit, zero, one)) == T(0)) return sine_vector<Quarter>(x);
  if constexpr (Quarter == 0)
    return lanewise(x, number::sin);
  else
    return lanewise(x, number::cos);
}

template <class T>
constexpr Packet<T, 1> integer_power(Packet<T, 1> base, T exponent) {
  Packet<T, 1> result(T(1));
  if (exponent < T(0)) {
    base = result / base;
    exponent = exponent % 2 == 0 ? T(2) : T(1);
  }
  for (; exponent > T(0); exponent = static_cast<T>(exponent / 2)) {
    if (exponent % 2 != 0) result = result * base;
    base = base * base;
  }
  return result;
}
}  // namespace detail

/// The larger of two, NaN where one of them is; of equals the first.
template <class T, int N>
constexpr Packet<T, N> maximum(Packet<T, N> a, Packet<T, N> b) {
  return select(a >= b || a != a, a, b);
}
/// The smaller of two, NaN where one of them is; of equals the first.
template <class T, int N>
constexpr Packet<T, N> minimum(Packet<T, N> a, Packet<T, N> b) {
  return select(a <= b || a != a, a, b);
}
template <class T, int N>
constexpr Packet<T, N> abs(Packet<T, N> x) {
  if constexpr (N != 1)
    return detail::simd::pabs(x.v);
  else if constexpr (std::is_unsigned_v<T>)
    return x;
  else if constexpr (std::is_integral_v<T>)
    return x.v < T(0) ? -x : x;
  else
    return detail::lanewise(x, detail::number::abs);
}
/// Correctly rounded.
template <Inexact T, int N>
constexpr Packet<T, N> sqrt(Packet<T, N> x) {
  if constexpr (N == 1)
    return detail::lanewise(x, detail::number::sqrt);
  else if constexpr (requires { detail::square_root(x.v); })
    return detail::square_root(x.v);
  else
    return detail::lanewise(x, detail::number::sqrt);
}
/// e^x; overflows to infinity, and vectors to zero below the smallest normal number.
template <Inexact T, int N>
constexpr Packet<T, N> exp(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::exp_vector(x);
  } else {
    return detail::lanewise(x, detail::number::exp);
  }
}
/// 2^x, exact for integers.
template <Inexact T, int N>
constexpr Packet<T, N> exp2(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::exp2_vector(x);
  } else {
    return detail::lanewise(x, detail::number::exp2);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> expm1(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::expm1_vector(x);
  } else {
    return detail::lanewise(x, detail::number::expm1);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> log(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::log_vector(x);
  } else {
    return detail::lanewise(x, detail::number::log);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> log2(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::log_vector(x) * (Packet<T, N>(T(1.442695040888963407)));
  } else {
    return detail::lanewise(x, detail::number::log2);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> log10(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::log10);
}
template <Inexact T, int N>
constexpr Packet<T, N> log1p(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::log1p_vector(x);
  } else {
    return detail::lanewise(x, detail::number::log1p);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> sin(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::sine<0>(x);
  } else {
    return detail::lanewise(x, detail::number::sin);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> cos(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::sine<1>(x);
  } else {
    return detail::lanewise(x, detail::number::cos);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> tan(Packet<T, N> x) {
  if constexpr (N != 1) {
    return sin(x) / cos(x);
  } else {
    return detail::lanewise(x, detail::number::tan);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> asin(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::asin);
}
template <Inexact T, int N>
constexpr Packet<T, N> acos(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::acos);
}
template <Inexact T, int N>
constexpr Packet<T, N> atan(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::atan);
}
template <Inexact T, int N>
constexpr Packet<T, N> sinh(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::sinh);
}
template <Inexact T, int N>
constexpr Packet<T, N> cosh(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::cosh);
}
template <Inexact T, int N>
constexpr Packet<T, N> asinh(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::asinh);
}
template <Inexact T, int N>
constexpr Packet<T, N> acosh(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::acosh);
}
template <Inexact T, int N>
constexpr Packet<T, N> atanh(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::atanh);
}
template <Inexact T, int N>
constexpr Packet<T, N> cbrt(Packet<T, N> x) {
  return detail::lanewise(x, detail::number::cbrt);
}
template <Inexact T, int N>
constexpr Packet<T, N> tanh(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::tanh_vector(x);
  } else {
    return detail::lanewise(x, detail::number::tanh);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> erf(Packet<T, N> x) {
  if constexpr (N != 1) {
    return detail::erf_vector(x);
  } else {
    return detail::lanewise(x, detail::number::erf);
  }
}
template <Inexact T, int N>
constexpr Packet<T, N> atan2(Packet<T, N> y, Packet<T, N> x) {
  return detail::lanewise(y, x, detail::number::atan2);
}
template <Inexact T, int N>
constexpr Packet<T, N> hypot(Packet<T, N> x, Packet<T, N> y) {
  return detail::lanewise(x, y, detail::number::hypot);
}
/// x to the power of y. Powers of integers wrap around; negative ones are truncated, 0 of them for 0.
template <class T, int N>
constexpr Packet<T, N> pow(Packet<T, N> x, Packet<T, N> y) {
  if constexpr (std::is_integral_v<T>) {
    return detail::integer_power(x, y.v);
  } else {
    return detail::lanewise(x, y, detail::number::pow);
  }
}
/// The nearest integer, ties to even.
template <class T, int N>
constexpr Packet<T, N> round(Packet<T, N> x) {
  if constexpr (std::is_integral_v<T>) {
    return x;
  } else if constexpr (N != 1) {
    return detail::round_vector(x);
  } else {
    return detail::lanewise(x, detail::number::nearbyint);
  }
}
template <class T, int N>
constexpr Packet<T, N> floor(Packet<T, N> x) {
  if constexpr (std::is_integral_v<T>) {
    return x;
  } else if constexpr (N != 1) {
    return detail::floor_vector(x);
  } else {
    return detail::lanewise(x, detail::number::floor);
  }
}
template <class T, int N>
constexpr Packet<T, N> ceil(Packet<T, N> x) {
  if constexpr (std::is_integral_v<T>) {
    return x;
  } else if constexpr (N != 1) {
    return -floor(-x);
  } else {
    return detail::lanewise(x, detail::number::ceil);
  }
}
/// Without the fraction.
template <class T, int N>
constexpr Packet<T, N> trunc(Packet<T, N> x) {
  if constexpr (std::is_integral_v<T>) {
    return x;
  } else if constexpr (N != 1) {
    return detail::with_sign(floor(abs(x)), x);
  } else {
    return detail::lanewise(x, detail::number::trunc);
  }
}
/// The remainder of x / y with the sign of x; of integers 0 where y is 0.
template <class T, int N>
constexpr Packet<T, N> fmod(Packet<T, N> x, Packet<T, N> y) {
  if constexpr (std::is_integral_v<T>) {
    if (y.v == T(0)) return T(0);
    return x - (x / y) * y;
  } else {
    return detail::lanewise(x, y, detail::number::fmod);
  }
}
/// The remainder of x / y with the sign of y, as Python's %.
template <class T, int N>
constexpr Packet<T, N> remainder(Packet<T, N> x, Packet<T, N> y) {
  using P = Packet<T, N>;
  const P rest = fmod(x, y), zero(T(0));
  const auto against = (rest < zero && y > zero) || (rest > zero && y < zero);
  return select(against, rest + y, rest);
}
/// x / y rounded down, as Python's //; of integers 0 where y is 0.
template <class T, int N>
constexpr Packet<T, N> floor_divide(Packet<T, N> x, Packet<T, N> y) {
  using P = Packet<T, N>;
  if constexpr (std::is_integral_v<T>) {
    const P quotient = x / y, rest = fmod(x, y), zero(T(0));
    return select((rest < zero && y > zero) || (rest > zero && y < zero), quotient - P(T(1)), quotient);
  } else {
    return select(y == P(T(0)), x / y, round((x - remainder(x, y)) / y));
  }
}
/// -1, 0 or 1; NaN of NaN.
template <class T, int N>
constexpr Packet<T, N> sign(Packet<T, N> x) {
  using P = Packet<T, N>;
  const P zero(T(0)), below = select(x < zero, P(static_cast<T>(-1)), x);
  return select(x > zero, P(T(1)), below);
}

}  // namespace burrow

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
