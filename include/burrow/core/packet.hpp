// Packet<T, N>: N values of T computed together. Elementwise functions are written once, for packets: with N
// of the machine's vectors (through Eigen's packet math) for float and double, with N = 1 for every other
// type. The functions of mathematics stand in core/packet_math.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include <burrow/core/narrow_lanes.hpp>
#include <burrow/core/shape.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments lose nothing here
#endif

namespace burrow {

/// Number of lanes of the machine's vectors of T; 1 where burrow does not vectorise T.
template <class T>
inline constexpr int lanes = detail::native_lanes<T>();

/// N truth values, one to each lane of a Packet<T, N>, as `bits`: all or none of a lane.
template <class T, int N>
struct Mask {
  detail::native_vector<T> bits;
};
/// One truth value.
template <class T>
struct Mask<T, 1> {
  bool bits;
};

/// N values of T, in the vector `v`. Loads and stores take the number of elements that exist; missing lanes
/// read as zero.
template <class T, int N = lanes<T>>
struct Packet {
  using value_type = T;
  static constexpr int size = N;
  detail::native_vector<T> v;

  Packet() = default;
  Packet(detail::native_vector<T> vector) : v{vector} {}
  Packet(T value) : v{detail::simd::pset1<detail::native_vector<T>>(value)} {}

  /// N elements from p on, or the first `count` of them.
  template <class U>
  static Packet load(const U* p) {
    if constexpr (std::same_as<U, T>) {
      return detail::simd::ploadu<detail::native_vector<T>>(p);
    } else if constexpr (Narrow<U> && std::same_as<T, float>) {
      return detail::NarrowLanes::widen(p);
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
  /// `count` elements that are `stride` apart.
  template <class U>
  static Packet gather(const U* p, Index stride, Index count = N) {
    alignas(64) T buffer[N] = {};
    for (Index i = 0; i < count; ++i) buffer[i] = static_cast<T>(p[i * stride]);
    return detail::simd::pload<detail::native_vector<T>>(buffer);
  }
  /// Writes all lanes to p, or the first `count`, converted to U.
  template <class U>
  void store(U* p) const {
    if constexpr (std::same_as<U, T>) {
      detail::simd::pstoreu(p, v);
    } else if constexpr (Narrow<U> && std::same_as<T, float>) {
      detail::NarrowLanes::narrow(v, p);
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
  friend Packet operator-(Packet a) { return -a.v; }
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

namespace detail {
/// The type in which one value is added and multiplied: unsigned for integers, so that they wrap around.
template <class T>
struct wrapping_of {
  using type = T;
};
template <class T>
requires std::is_integral_v<T>
struct wrapping_of<T> {
  using type = std::conditional_t<(sizeof(T) < 8), std::uint32_t, std::uint64_t>;
};
template <class T>
using wrapping = typename wrapping_of<T>::type;
}  // namespace detail

/// One value of any element type.
template <class T>
struct Packet<T, 1> {
  using value_type = T;
  static constexpr int size = 1;
  T v;

  Packet() = default;
  constexpr Packet(T value) : v{value} {}

  template <class U>
  static constexpr Packet load(const U* p, Index = 1) {
    return static_cast<T>(*p);
  }
  template <class U>
  static constexpr Packet gather(const U* p, Index, Index = 1) {
    return static_cast<T>(*p);
  }
  template <class U>
  constexpr void store(U* p, Index = 1) const {
    *p = static_cast<U>(v);
  }

  // Integers wrap around; a division by zero gives 0.
  using W = detail::wrapping<T>;
  friend constexpr Packet operator+(Packet a, Packet b) { return static_cast<T>(W(a.v) + W(b.v)); }
  friend constexpr Packet operator-(Packet a, Packet b) { return static_cast<T>(W(a.v) - W(b.v)); }
  friend constexpr Packet operator*(Packet a, Packet b) { return static_cast<T>(W(a.v) * W(b.v)); }
  friend constexpr Packet operator/(Packet a, Packet b) {
    if constexpr (std::is_integral_v<T>) {
      if (b.v == T(0)) return T(0);
      if (std::is_signed_v<T> && b.v == static_cast<T>(-1)) return -a;
    }
    return static_cast<T>(a.v / b.v);
  }
  friend constexpr Packet operator-(Packet a) { return static_cast<T>(-W(a.v)); }
  friend constexpr Packet fused_multiply_add(Packet a, Packet b, Packet c) { return a * b + c; }
  // The bits of integers; a shift by a negative number, or by all bits, shifts all out.
  friend constexpr Packet operator&(Packet a, Packet b) { return static_cast<T>(a.v & b.v); }
  friend constexpr Packet operator|(Packet a, Packet b) { return static_cast<T>(a.v | b.v); }
  friend constexpr Packet operator^(Packet a, Packet b) { return static_cast<T>(a.v ^ b.v); }
  friend constexpr Packet operator~(Packet a) { return static_cast<T>(~a.v); }
  friend constexpr Packet operator<<(Packet a, Packet b) {
    return b.v < T(0) || b.v >= T(8 * sizeof(T)) ? T(0) : static_cast<T>(W(a.v) << b.v);
  }
  friend constexpr Packet operator>>(Packet a, Packet b) {
    constexpr T last = T(8 * sizeof(T) - 1);
    return static_cast<T>(a.v >> (b.v < T(0) || b.v > last ? last : b.v) >>
                          (std::is_unsigned_v<T> && b.v > last ? 1 : 0));
  }
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
constexpr Mask<T, N> operator!(Mask<T, N> m) {
  if constexpr (N == 1)
    return {!m.bits};
  else
    return {detail::simd::pandnot(detail::simd::ptrue(m.bits), m.bits)};
}
template <class T, int N>
constexpr Mask<T, N> operator&&(Mask<T, N> a, Mask<T, N> b) {
  if constexpr (N == 1)
    return {a.bits && b.bits};
  else
    return {detail::simd::pand(a.bits, b.bits)};
}
template <class T, int N>
constexpr Mask<T, N> operator||(Mask<T, N> a, Mask<T, N> b) {
  if constexpr (N == 1)
    return {a.bits || b.bits};
  else
    return {detail::simd::por(a.bits, b.bits)};
}

template <class T, int N>
constexpr Mask<T, N> operator==(Mask<T, N> a, Mask<T, N> b) {
  return (a && b) || (!a && !b);
}
template <class T, int N>
constexpr Mask<T, N> operator!=(Mask<T, N> a, Mask<T, N> b) {
  return (a || b) && !(a && b);
}

// Truth values compute as NumPy's: + and | are or, * and & are and, and false is less than true.
template <class T, int N>
constexpr Mask<T, N> operator&(Mask<T, N> a, Mask<T, N> b) {
  return a && b;
}
template <class T, int N>
constexpr Mask<T, N> operator|(Mask<T, N> a, Mask<T, N> b) {
  return a || b;
}
template <class T, int N>
constexpr Mask<T, N> operator^(Mask<T, N> a, Mask<T, N> b) {
  return a != b;
}
template <class T, int N>
constexpr Mask<T, N> operator~(Mask<T, N> a) {
  return !a;
}
template <class T, int N>
constexpr Mask<T, N> operator+(Mask<T, N> a, Mask<T, N> b) {
  return a || b;
}
template <class T, int N>
constexpr Mask<T, N> operator*(Mask<T, N> a, Mask<T, N> b) {
  return a && b;
}
template <class T, int N>
constexpr Mask<T, N> operator<(Mask<T, N> a, Mask<T, N> b) {
  return !a && b;
}
template <class T, int N>
constexpr Mask<T, N> operator<=(Mask<T, N> a, Mask<T, N> b) {
  return !a || b;
}
template <class T, int N>
constexpr Mask<T, N> maximum(Mask<T, N> a, Mask<T, N> b) {
  return a || b;
}
template <class T, int N>
constexpr Mask<T, N> minimum(Mask<T, N> a, Mask<T, N> b) {
  return a && b;
}

/// a where the mask is true, b elsewhere.
template <class M, class T, int N>
requires(N == 1 || std::same_as<M, T>) constexpr Packet<T, N> select(Mask<M, N> m, Packet<T, N> a,
                                                                     Packet<T, N> b) {
  if constexpr (N == 1)
    return m.bits ? a : b;
  else
    return detail::simd::pselect(m.bits, a.v, b.v);
}

template <class T, int N>
constexpr Mask<T, N> select(Mask<T, N> m, Mask<T, N> a, Mask<T, N> b) {
  return (m && a) || (!m && b);
}

}  // namespace burrow

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
