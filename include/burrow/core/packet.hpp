// Packet<T, N>: N values of T computed together. Elementwise functions are written once, for packets: with N
// of the machine's vectors (through Eigen's packet math) for float and double, with N = 1 for every other
// type.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include <burrow/core/dtype.hpp>
#include <burrow/core/shape.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments lose nothing here
#pragma GCC diagnostic ignored "-Wuninitialized"       // g++ 12's own AVX-512 intrinsics start that way
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace burrow {

namespace detail {
namespace simd = Eigen::internal;

template <class T>
using native_vector = typename simd::packet_traits<T>::type;

template <class T>
constexpr int native_lanes() {
  if constexpr (std::same_as<T, float> || std::same_as<T, double>)
    return simd::unpacket_traits<native_vector<T>>::size;
  else
    return 1;
}
}  // namespace detail

namespace detail {

/// N bf16 as floats, and back rounded to nearest, in integer vectors that both compilers lower to a few
/// instructions.
struct Bf16Lanes {
  static constexpr int count = native_lanes<float>();
  typedef std::uint16_t Narrow __attribute__((vector_size(count * 2)));
  typedef std::uint32_t Wide __attribute__((vector_size(count * 4)));

  static native_vector<float> widen(const bf16* p) {
    Narrow bits;
    std::memcpy(&bits, p, sizeof(bits));
    return std::bit_cast<native_vector<float>>(__builtin_convertvector(bits, Wide) << 16);
  }
  static void narrow(native_vector<float> v, bf16* p) {
    const Wide bits = std::bit_cast<Wide>(v);
    const Wide rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    const Wide is_nan = (Wide)((bits & 0x7FFFFFFFu) > 0x7F800000u);
    const Wide result = (is_nan & ((bits >> 16) | 0x40u)) | (~is_nan & rounded);
    const Narrow out = __builtin_convertvector(result, Narrow);
    std::memcpy(static_cast<void*>(p), &out, sizeof(out));
  }
};

}  // namespace detail

/// Number of lanes of the machine's vectors of T; 1 where burrow does not vectorise T.
template <class T>
inline constexpr int lanes = detail::native_lanes<T>();

/// N truth values, one to each lane of a Packet<T, N>.
template <class T, int N>
struct Mask {
  detail::native_vector<T> bits;
};
template <class T>
struct Mask<T, 1> {
  bool bits;
};

/// N values of T. Loads and stores take the number of elements that exist; missing lanes read as zero.
template <class T, int N = lanes<T>>
struct Packet {
  using value_type = T;
  static constexpr int size = N;
  detail::native_vector<T> v;

  Packet() = default;
  Packet(detail::native_vector<T> vector) : v{vector} {}
  Packet(T value) : v{detail::simd::pset1<detail::native_vector<T>>(value)} {}

  template <class U>
  static Packet load(const U* p) {
    if constexpr (std::same_as<U, T>) {
      return detail::simd::ploadu<detail::native_vector<T>>(p);
    } else if constexpr (std::same_as<U, bf16> && std::same_as<T, float>) {
      return detail::Bf16Lanes::widen(p);
    } else {
      alignas(64) T buffer[N];
      for (int i = 0; i < N; ++i) buffer[i] = static_cast<T>(p[i]);
      return detail::simd::pload<detail::native_vector<T>>(buffer);
    }
  }
  template <class U>
  static Packet load(const U* p, Index count) {
    return gather(p, 1, count);
  }
  template <class U>
  static Packet gather(const U* p, Index stride, Index count = N) {
    alignas(64) T buffer[N] = {};
    for (Index i = 0; i < count; ++i) buffer[i] = static_cast<T>(p[i * stride]);
    return detail::simd::pload<detail::native_vector<T>>(buffer);
  }
  template <class U>
  void store(U* p) const {
    if constexpr (std::same_as<U, T>) {
      detail::simd::pstoreu(p, v);
    } else if constexpr (std::same_as<U, bf16> && std::same_as<T, float>) {
      detail::Bf16Lanes::narrow(v, p);
    } else {
      alignas(64) T buffer[N];
      detail::simd::pstore(buffer, v);
      for (int i = 0; i < N; ++i) p[i] = static_cast<U>(buffer[i]);
    }
  }
  template <class U>
  void store(U* p, Index count) const {
    alignas(64) T buffer[N];
    detail::simd::pstore(buffer, v);
    for (Index i = 0; i < count; ++i) p[i] = static_cast<U>(buffer[i]);
  }

  friend Packet operator+(Packet a, Packet b) { return detail::simd::padd(a.v, b.v); }
  friend Packet operator-(Packet a, Packet b) { return detail::simd::psub(a.v, b.v); }
  friend Packet operator*(Packet a, Packet b) { return detail::simd::pmul(a.v, b.v); }
  friend Packet operator/(Packet a, Packet b) { return detail::simd::pdiv(a.v, b.v); }
  friend Packet operator-(Packet a) { return detail::simd::pnegate(a.v); }
  friend Packet fused_multiply_add(Packet a, Packet b, Packet c) {
    return detail::simd::pmadd(a.v, b.v, c.v);
  }
  friend Mask<T, N> operator<(Packet a, Packet b) { return {detail::simd::pcmp_lt(a.v, b.v)}; }
  friend Mask<T, N> operator<=(Packet a, Packet b) { return {detail::simd::pcmp_le(a.v, b.v)}; }
  friend Mask<T, N> operator>(Packet a, Packet b) { return b < a; }
  friend Mask<T, N> operator>=(Packet a, Packet b) { return b <= a; }
  friend Mask<T, N> operator==(Packet a, Packet b) { return {detail::simd::pcmp_eq(a.v, b.v)}; }
  friend Mask<T, N> operator!=(Packet a, Packet b) { return !(a == b); }

  /// Sum, maximum and minimum over the lanes.
  friend T reduce_add(Packet a) { return detail::simd::predux(a.v); }
  friend T reduce_max(Packet a) { return detail::simd::predux_max(a.v); }
  friend T reduce_min(Packet a) { return detail::simd::predux_min(a.v); }
};

/// One value of any element type.
template <class T>
struct Packet<T, 1> {
  using value_type = T;
  static constexpr int size = 1;
  T v;

  Packet() = default;
  constexpr Packet(T value) : v{value} {}

  template <class U>
  static Packet load(const U* p, Index = 1) {
    return static_cast<T>(*p);
  }
  template <class U>
  static Packet gather(const U* p, Index, Index = 1) {
    return static_cast<T>(*p);
  }
  template <class U>
  void store(U* p, Index = 1) const {
    *p = static_cast<U>(v);
  }

  friend constexpr Packet operator+(Packet a, Packet b) { return static_cast<T>(a.v + b.v); }
  friend constexpr Packet operator-(Packet a, Packet b) { return static_cast<T>(a.v - b.v); }
  friend constexpr Packet operator*(Packet a, Packet b) { return static_cast<T>(a.v * b.v); }
  friend constexpr Packet operator/(Packet a, Packet b) { return static_cast<T>(a.v / b.v); }
  friend constexpr Packet operator-(Packet a) { return static_cast<T>(-a.v); }
  friend Packet fused_multiply_add(Packet a, Packet b, Packet c) { return static_cast<T>(a.v * b.v + c.v); }
  friend constexpr Mask<T, 1> operator<(Packet a, Packet b) { return {a.v < b.v}; }
  friend constexpr Mask<T, 1> operator<=(Packet a, Packet b) { return {a.v <= b.v}; }
  friend constexpr Mask<T, 1> operator>(Packet a, Packet b) { return {a.v > b.v}; }
  friend constexpr Mask<T, 1> operator>=(Packet a, Packet b) { return {a.v >= b.v}; }
  friend constexpr Mask<T, 1> operator==(Packet a, Packet b) { return {a.v == b.v}; }
  friend constexpr Mask<T, 1> operator!=(Packet a, Packet b) { return {a.v != b.v}; }
  friend constexpr T reduce_add(Packet a) { return a.v; }
  friend constexpr T reduce_max(Packet a) { return a.v; }
  friend constexpr T reduce_min(Packet a) { return a.v; }
};

template <class T, int N>
Mask<T, N> operator!(Mask<T, N> m) {
  if constexpr (N == 1)
    return {!m.bits};
  else
    return {detail::simd::pandnot(detail::simd::ptrue(m.bits), m.bits)};
}
template <class T, int N>
Mask<T, N> operator&&(Mask<T, N> a, Mask<T, N> b) {
  if constexpr (N == 1)
    return {a.bits && b.bits};
  else
    return {detail::simd::pand(a.bits, b.bits)};
}
template <class T, int N>
Mask<T, N> operator||(Mask<T, N> a, Mask<T, N> b) {
  if constexpr (N == 1)
    return {a.bits || b.bits};
  else
    return {detail::simd::por(a.bits, b.bits)};
}

template <class T, int N>
Mask<T, N> operator==(Mask<T, N> a, Mask<T, N> b) {
  return (a && b) || (!a && !b);
}
template <class T, int N>
Mask<T, N> operator!=(Mask<T, N> a, Mask<T, N> b) {
  return (a || b) && !(a && b);
}

/// a where the mask is true, b elsewhere.
template <class M, class T, int N>
requires(N == 1 || std::same_as<M, T>) Packet<T, N> select(Mask<M, N> m, Packet<T, N> a, Packet<T, N> b) {
  if constexpr (N == 1)
    return m.bits ? a : b;
  else
    return detail::simd::pselect(m.bits, a.v, b.v);
}

template <class T, int N>
Mask<T, N> select(Mask<T, N> m, Mask<T, N> a, Mask<T, N> b) {
  return (m && a) || (!m && b);
}

namespace detail {
/// Applies a function of one number to each lane.
template <class T, int N, class F>
Packet<T, N> lanewise(Packet<T, N> x, F f) {
  alignas(64) T buffer[N];
  x.store(buffer);
  for (int i = 0; i < N; ++i) buffer[i] = static_cast<T>(f(buffer[i]));
  return Packet<T, N>::load(buffer);
}
}  // namespace detail

template <class T, int N>
Packet<T, N> maximum(Packet<T, N> a, Packet<T, N> b) {
  return select(b > a, b, a);
}
template <class T, int N>
Packet<T, N> minimum(Packet<T, N> a, Packet<T, N> b) {
  return select(b < a, b, a);
}
template <class T, int N>
Packet<T, N> abs(Packet<T, N> x) {
  if constexpr (N == 1) {
    if constexpr (std::is_unsigned_v<T>)
      return x;
    else
      return static_cast<T>(x.v < T(0) ? -x.v : x.v);
  } else {
    return detail::simd::pabs(x.v);
  }
}
/// Correctly rounded; Eigen's own is approximate on x86 and makes NaN of infinity.
template <class T, int N>
Packet<T, N> sqrt(Packet<T, N> x) {
  return detail::lanewise(x, [](T y) { return std::sqrt(y); });
}
/// e^x; like std::exp, overflows to infinity and underflows to zero.
template <class T, int N>
Packet<T, N> exp(Packet<T, N> x) {
  if constexpr (N == 1) {
    return static_cast<T>(std::exp(x.v));
  } else {
    constexpr T highest = std::same_as<T, float> ? T(88.72283) : T(709.782712893384);
    constexpr T lowest = std::same_as<T, float> ? T(-87.33654) : T(-708.396418532264);
    Packet<T, N> y = detail::simd::pexp(x.v);
    y = select(x > Packet<T, N>{highest}, Packet<T, N>{std::numeric_limits<T>::infinity()}, y);
    y = select(x < Packet<T, N>{lowest}, Packet<T, N>{T(0)}, y);
    return select(x == x, y, x);
  }
}
template <class T, int N>
Packet<T, N> log(Packet<T, N> x) {
  if constexpr (N == 1)
    return static_cast<T>(std::log(x.v));
  else
    return detail::simd::plog(x.v);
}
template <class T, int N>
Packet<T, N> tanh(Packet<T, N> x) {
  if constexpr (N != 1 && std::same_as<T, float>)
    return detail::simd::ptanh(x.v);
  else
    return detail::lanewise(x, [](T y) { return std::tanh(y); });
}
template <class T, int N>
Packet<T, N> log1p(Packet<T, N> x) {
  return detail::lanewise(x, [](T y) { return std::log1p(y); });
}
template <class T, int N>
Packet<T, N> expm1(Packet<T, N> x) {
  return detail::lanewise(x, [](T y) { return std::expm1(y); });
}
template <class T, int N>
Packet<T, N> erf(Packet<T, N> x) {
  return detail::lanewise(x, [](T y) { return std::erf(y); });
}
template <class T, int N>
Packet<T, N> sin(Packet<T, N> x) {
  return detail::lanewise(x, [](T y) { return std::sin(y); });
}
template <class T, int N>
Packet<T, N> cos(Packet<T, N> x) {
  return detail::lanewise(x, [](T y) { return std::cos(y); });
}
template <class T, int N>
Packet<T, N> pow(Packet<T, N> x, Packet<T, N> y) {
  alignas(64) T base[N], exponent[N];
  x.store(base);
  y.store(exponent);
  for (int i = 0; i < N; ++i) base[i] = static_cast<T>(std::pow(base[i], exponent[i]));
  return Packet<T, N>::load(base);
}

}  // namespace burrow

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
