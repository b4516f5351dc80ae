// Packet<T, N>: N values of T computed together. Elementwise functions are written once, for packets: with N
// of the machine's vectors (through Eigen's packet math) for float and double, with N = 1 for every other
// type. The functions of mathematics stand in core/packet_math.hpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include <burrow/core/dtype.hpp>
#include <burrow/core/eigen.hpp>
#include <burrow/core/shape.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments lose nothing here
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

/// A vector of bf16 or half as floats, and back rounded to nearest, in integer vectors that both compilers
/// lower to a few instructions, or by the machine's own conversion.
struct NarrowLanes {
  static constexpr int count = native_lanes<float>();
  typedef std::uint16_t Short __attribute__((vector_size(count * 2)));
  typedef std::uint32_t Wide __attribute__((vector_size(count * 4)));
  typedef float Float __attribute__((vector_size(count * 4)));

  template <Narrow T>
  static native_vector<float> widen(const T* p) {
    Short bits;
    std::memcpy(&bits, p, sizeof(bits));
    return widen<T>(bits);
  }
  template <Narrow T>
  static void narrow(native_vector<float> v, T* p) {
    const Short out = narrow<T>(v);
    std::memcpy(static_cast<void*>(p), &out, sizeof(out));
  }
  /// The floats as they are once stored as T.
  template <Narrow T>
  static native_vector<float> rounded(native_vector<float> v) {
    if constexpr (std::same_as<T, bf16>)
      return __builtin_bit_cast(native_vector<float>, upper_bf16(v) & 0xFFFF0000u);
    else
      return widen<T>(narrow<T>(v));
  }

 private:
  template <Narrow T>
  static native_vector<float> widen(Short bits) {
    if constexpr (std::same_as<T, bf16>)
      return widen_bf16(bits);
    else
      return widen_half(bits);
  }
  template <Narrow T>
  static Short narrow(native_vector<float> v) {
    if constexpr (std::same_as<T, bf16>)
      return narrow_bf16(v);
    else
      return narrow_half(v);
  }

  static Wide choose(Wide mask, Wide a, Wide b) { return (mask & a) | (~mask & b); }

#if defined(__AVX512F__) && defined(__AVX512BW__)
  // Of the vector code below, g++ 12 makes twice as many instructions.
  static native_vector<float> widen_bf16(Short bits) {
    const __m512i wide = _mm512_cvtepu16_epi32(__builtin_bit_cast(__m256i, bits));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static Wide upper_bf16(native_vector<float> v) {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)), bits);
    const __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return __builtin_bit_cast(Wide, _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000)));
  }
  static Short upper_halves(Wide wide) {
    const __m512i odd = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1,  //
                                         31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512i halves = _mm512_permutexvar_epi16(odd, __builtin_bit_cast(__m512i, wide));
    return __builtin_bit_cast(Short, _mm512_castsi512_si256(halves));
  }
#else
  static native_vector<float> widen_bf16(Short bits) {
    return __builtin_bit_cast(native_vector<float>, __builtin_convertvector(bits, Wide) << 16);
  }
  /// Bits whose upper halves are v rounded to bf16; the lower ones have no meaning.
  static Wide upper_bf16(native_vector<float> v) {
    const Wide bits = __builtin_bit_cast(Wide, v);
    const Wide is_nan = (Wide)((bits & 0x7FFFFFFFu) > 0x7F800000u);
    return choose(is_nan, bits | 0x400000u, bits + 0x7FFFu + ((bits >> 16) & 1u));
  }
  static Short upper_halves(Wide wide) { return __builtin_convertvector(wide >> 16, Short); }
#endif

  static Short narrow_bf16(native_vector<float> v) {
#if defined(__AVX512BF16__) && defined(__AVX512DQ__)
    constexpr int denormal = 0x20;  // which the processor's own conversion takes for zero
    if (_mm512_fpclass_ps_mask(v, denormal) == 0) [[likely]]
      return std::bit_cast<Short>(_mm512_cvtneps_pbh(v));
#endif
    return upper_halves(upper_bf16(v));
  }

#if defined(__AVX512F__)
  static native_vector<float> widen_half(Short bits) {
    return _mm512_cvtph_ps(__builtin_bit_cast(__m256i, bits));
  }
  static Short narrow_half(native_vector<float> v) {
    return __builtin_bit_cast(Short, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
#elif defined(__F16C__)
  static native_vector<float> widen_half(Short bits) {
    return _mm256_cvtph_ps(__builtin_bit_cast(__m128i, bits));
  }
  static Short narrow_half(native_vector<float> v) {
    return __builtin_bit_cast(Short, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
#else
  // Class half's steps, lane by lane.
  static native_vector<float> widen_half(Short bits) {
    const Wide wide = __builtin_convertvector(bits, Wide);
    const Wide magnitude = (wide & 0x7FFFu) << 13;
    const Wide small =
        __builtin_bit_cast(Wide, __builtin_bit_cast(Float, (wide & 0x7FFFu) + 0x3F000000u) - 0.5f);
    const Wide quiet = (Wide)(magnitude > 0x0F800000u) & 0x400000u;
    Wide result = choose((Wide)(magnitude < 0x00800000u), small, magnitude + 0x38000000u);
    result = choose((Wide)(magnitude >= 0x0F800000u), magnitude | 0x7F800000u | quiet, result);
    return __builtin_bit_cast(native_vector<float>, (wide & 0x8000u) << 16 | result);
  }
  static Short narrow_half(native_vector<float> v) {
    const Wide bits = __builtin_bit_cast(Wide, v);
    const Wide magnitude = bits & 0x7FFFFFFFu;
    const Wide small = __builtin_bit_cast(Wide, __builtin_bit_cast(Float, magnitude) + 0.5f) - 0x3F000000u;
    const Wide normal = (magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
    const Wide nan = 0x7E00u | (magnitude >> 13 & 0x3FFu);
    Wide result = choose((Wide)(magnitude < 0x38800000u), small, normal);
    result = choose((Wide)(magnitude >= 0x47800000u), Wide{} + 0x7C00u, result);
    result = choose((Wide)(magnitude > 0x7F800000u), nan, result);
    return __builtin_convertvector((bits >> 16 & 0x8000u) | result, Short);
  }
#endif
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
/// One truth value.
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
