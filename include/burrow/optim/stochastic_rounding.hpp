// Stochastic rounding from float to bf16: up or down with the probabilities that make the mean exact. The
// random bits depend on the key and the element's index in the whole parameter only, so every sharding and
// every restart rounds alike.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <burrow/core/dtype.hpp>
#include <burrow/core/key.hpp>
#include <burrow/core/packet.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// Rounds to one of the two neighbouring bf16 values, `random` deciding: averaged over all 65536 of its
/// values the result is `value`. bf16 values, infinities and NaNs (made quiet) stay as they are. A finite
/// value beyond the largest bf16 may become infinite, as it does when rounded to nearest.
constexpr bf16 round_stochastically(float value, std::uint16_t random) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool is_finite = (bits & 0x7F800000u) != 0x7F800000u;
  const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
  const std::uint32_t rounded = is_finite ? bits + random : bits | (is_nan ? 0x400000u : 0u);
  return bf16::from_bits(static_cast<std::uint16_t>(rounded >> 16));
}

/// The 16 random bits of element `index`: the low or high half of the key's word (index % 8) / 2 of counter
/// index / 8.
constexpr std::uint16_t random_bits16(Key key, std::uint64_t index) {
  const std::uint32_t word = key.words(index / 8)[index % 8 / 2];
  return static_cast<std::uint16_t>(index % 2 == 0 ? word : word >> 16);
}

namespace detail {

/// The random bits of 128 elements at a time, for a pass over many: Philox for sixteen counters in registers.
class RandomBits16 {
 public:
  static constexpr std::size_t batch = 128;

  explicit RandomBits16(Key key) {
    auto key0 = static_cast<std::uint32_t>(key.value()), key1 = static_cast<std::uint32_t>(key.value() >> 32);
    for (std::size_t round = 0; round < rounds; ++round) {
      key0_[round] = key0;
      key1_[round] = key1;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
  }

  /// `random_bits16` of elements from `index` on: of 128 where index is a multiple of eight, else of those
  /// up to the next multiple after 120. They stay until the next call.
  std::span<const std::uint16_t> from(std::uint64_t index) {
    fill(index / 8);
    return std::span{bits_}.subspan(index % 8);
  }

 private:
  static constexpr std::uint32_t multiplier0 = 0xD2511F53u, multiplier1 = 0xCD9E8D57u;
  static constexpr std::size_t rounds = 10;

#if defined(__AVX512F__)
  /// Eight counters; the lower half of each lane counts, the upper one is what multiplications leave there.
  struct Chain {
    __m512i c0, c1, c2, c3;

    void round(__m512i key0, __m512i key1) {
      const __m512i left = _mm512_mul_epu32(c0, _mm512_set1_epi64(multiplier0));
      const __m512i right = _mm512_mul_epu32(c2, _mm512_set1_epi64(multiplier1));
      c0 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(right, 32), c1, key0, exclusive_or);
      c1 = right;
      c2 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(left, 32), c3, key1, exclusive_or);
      c3 = left;
    }
    /// The words of each counter side by side.
    void store(std::uint16_t* bits) const {
      const __m512i c01 = _mm512_mask_shuffle_epi32(c0, 0xAAAA, c1, even_twice);
      const __m512i c23 = _mm512_mask_shuffle_epi32(c2, 0xAAAA, c3, even_twice);
      _mm512_storeu_si512(bits, _mm512_unpacklo_epi64(c01, c23));
      _mm512_storeu_si512(bits + 32, _mm512_unpackhi_epi64(c01, c23));
    }
    static constexpr int exclusive_or = 0x96;
    static constexpr _MM_PERM_ENUM even_twice = _MM_PERM_CCAA;
  };

  /// Unpacking takes even lanes first, so these hold the first four counters.
  static Chain start(std::uint64_t counter) {
    const __m512i first = _mm512_set1_epi64(static_cast<std::int64_t>(counter));
    const __m512i c = _mm512_add_epi64(first, _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0));
    return {c, _mm512_srli_epi64(c, 32), _mm512_setzero_si512(), _mm512_setzero_si512()};
  }

  void fill(std::uint64_t counter) {
    Chain first = start(counter), second = start(counter + 8);
    for (std::size_t round = 0; round < rounds; ++round) {
      const __m512i key0 = _mm512_set1_epi64(key0_[round]), key1 = _mm512_set1_epi64(key1_[round]);
      first.round(key0, key1);
      second.round(key0, key1);
    }
    first.store(bits_.data());
    second.store(bits_.data() + 64);
  }
#else
  void fill(std::uint64_t counter) {
    constexpr std::size_t count = batch / 8;
    std::uint32_t c[4][count] = {};
    for (std::size_t i = 0; i < count; ++i) {
      c[0][i] = static_cast<std::uint32_t>(counter + i);
      c[1][i] = static_cast<std::uint32_t>((counter + i) >> 32);
    }
    for (std::size_t round = 0; round < rounds; ++round)
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t left = std::uint64_t{multiplier0} * c[0][i];
        const std::uint64_t right = std::uint64_t{multiplier1} * c[2][i];
        c[0][i] =
            static_cast<std::uint32_t>(right >> 32) ^ c[1][i] ^ static_cast<std::uint32_t>(key0_[round]);
        c[1][i] = static_cast<std::uint32_t>(right);
        c[2][i] = static_cast<std::uint32_t>(left >> 32) ^ c[3][i] ^ static_cast<std::uint32_t>(key1_[round]);
        c[3][i] = static_cast<std::uint32_t>(left);
      }
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t word = 0; word < 4; ++word) {
        bits_[8 * i + 2 * word] = static_cast<std::uint16_t>(c[word][i]);
        bits_[8 * i + 2 * word + 1] = static_cast<std::uint16_t>(c[word][i] >> 16);
      }
  }
#endif

  std::array<std::int64_t, rounds> key0_, key1_;  // in lower halves
  alignas(64) std::array<std::uint16_t, batch> bits_;
};

/// Writes the lanes of `values` to `rounded`, each rounded with its own of the random `bits`.
template <int N>
void store_stochastically(Packet<float, N> values, bf16* rounded, const std::uint16_t* bits) {
  if constexpr (N == 1) {
    *rounded = round_stochastically(values.v, *bits);
  } else {
#if defined(__AVX512F__)
    const __m512i value = _mm512_castps_si512(values.v), infinity = _mm512_set1_epi32(0x7F800000);
    const __m512i magnitude = _mm512_and_si512(value, _mm512_set1_epi32(0x7FFFFFFF));
    const __m512i random = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bits)));
    const __mmask16 is_finite = _mm512_cmplt_epi32_mask(magnitude, infinity);
    const __mmask16 is_nan = _mm512_cmpgt_epi32_mask(magnitude, infinity);
    const __m512i sum = _mm512_mask_add_epi32(value, is_finite, value, random);
    const __m512i quiet = _mm512_mask_or_epi32(sum, is_nan, sum, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(rounded),
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32(quiet, 16)));
#else
    using Lanes = NarrowLanes;
    Lanes::Short random;
    std::memcpy(&random, bits, sizeof(random));
    const auto value = __builtin_bit_cast(Lanes::Wide, values.v);
    const auto magnitude = value & 0x7FFFFFFFu;
    const auto is_finite = (Lanes::Wide)(magnitude < 0x7F800000u);
    const auto is_nan = (Lanes::Wide)(magnitude > 0x7F800000u);
    const auto sum =
        (value | (is_nan & 0x400000u)) + (__builtin_convertvector(random, Lanes::Wide) & is_finite);
    const auto result = __builtin_convertvector(sum >> 16, Lanes::Short);
    std::memcpy(static_cast<void*>(rounded), &result, sizeof(result));
#endif
  }
}
template <int N>
void store_stochastically(Packet<float, N> values, bf16* rounded, const std::uint16_t* bits, Index count) {
  std::array<float, N> lanes;
  values.store(lanes.data());
  for (Index i = 0; i < count; ++i)
    rounded[i] = round_stochastically(lanes[static_cast<std::size_t>(i)], bits[i]);
}

}  // namespace detail

/// Rounds values[i] into rounded[i] with the random bits of element `first_index + i` under `key`.
inline void round_stochastically(std::span<const float> values, std::span<bf16> rounded, Key key,
                                 std::uint64_t first_index) {
  using V = Packet<float>;
  detail::RandomBits16 random{key};
  for (std::size_t done = 0; done < values.size();) {
    const auto bits = random.from(first_index + done);
    const std::size_t count = std::min(bits.size(), values.size() - done);
    std::size_t i = 0;
    for (; i + V::size <= count; i += V::size)
      detail::store_stochastically(V::load(values.data() + done + i), rounded.data() + done + i,
                                   bits.data() + i);
    for (; i < count; ++i) rounded[done + i] = round_stochastically(values[done + i], bits[i]);
    done += count;
  }
}

}  // namespace burrow
