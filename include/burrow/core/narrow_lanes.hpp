// The machine's vectors, and bf16 and half as vectors of float.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include <burrow/core/dtype.hpp>
#include <burrow/core/eigen.hpp>

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
  // Of the vector code below, g++ 12 makes twice as many instructions. Masks of all lanes cost nothing, and
  // spare its warnings of the values that unmasked instructions are given for lanes that they leave.
  static native_vector<float> widen_bf16(Short bits) {
    constexpr __mmask16 all = 0xFFFF;
    const __m512i wide = _mm512_maskz_cvtepu16_epi32(all, __builtin_bit_cast(__m256i, bits));
    return __builtin_bit_cast(native_vector<float>, __builtin_bit_cast(Wide, wide) << 16);
  }
  static Wide upper_bf16(native_vector<float> v) {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = __builtin_bit_cast(__m512i, (__builtin_bit_cast(Wide, v) >> 16) & 1u);
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)), bits);
    const __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return __builtin_bit_cast(Wide, _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000)));
  }
  static Short upper_halves(Wide wide) {
    const __m512i odd = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1,  //
                                         31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    typedef std::uint16_t Halves __attribute__((vector_size(64)));
    const __m512i halves =
        _mm512_maskz_permutexvar_epi16(~__mmask32{0}, odd, __builtin_bit_cast(__m512i, wide));
    const auto all = __builtin_bit_cast(Halves, halves);
    return __builtin_shufflevector(all, all, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  }
#elif defined(__AVX2__) && !defined(__AVX512F__)
  // The same: g++ 12 widens halves of a vector one by one, and has no comparison of unsigned numbers.
  static native_vector<float> widen_bf16(Short bits) {
    const __m256i wide = _mm256_cvtepu16_epi32(__builtin_bit_cast(__m128i, bits));
    return __builtin_bit_cast(native_vector<float>, _mm256_slli_epi32(wide, 16));
  }
  static Wide upper_bf16(native_vector<float> v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)), bits);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    return __builtin_bit_cast(Wide, _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet),
                                                     _mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
  }
  static Short upper_halves(Wide wide) {
    const __m256i upper = _mm256_srli_epi32(__builtin_bit_cast(__m256i, wide), 16);
    const __m128i low = _mm256_castsi256_si128(upper), high = _mm256_extracti128_si256(upper, 1);
    return __builtin_bit_cast(Short, _mm_packus_epi32(low, high));
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

}  // namespace burrow

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
