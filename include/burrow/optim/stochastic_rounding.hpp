// Stochastic rounding from float to bf16: up or down with the probabilities that make the mean exact. The
// random bits depend on the key and the element's index in the whole parameter only, so every sharding and
// every restart rounds alike.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include <burrow/core/dtype.hpp>
#include <burrow/core/key.hpp>
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

inline constexpr std::size_t random_batch = 128;

/// Key::words for sixteen counters from `counter` on, in loops that the compiler vectorises; as the 16-bit
/// numbers of the elements 8 * counter, 8 * counter + 1, ...
inline void fill_random_bits16(Key key, std::uint64_t counter, std::uint16_t* bits) {
  constexpr std::size_t lanes = random_batch / 8;
  std::uint32_t c[4][lanes] = {};
  for (std::size_t i = 0; i < lanes; ++i) {
    c[0][i] = static_cast<std::uint32_t>(counter + i);
    c[1][i] = static_cast<std::uint32_t>((counter + i) >> 32);
  }
  auto key0 = static_cast<std::uint32_t>(key.value());
  auto key1 = static_cast<std::uint32_t>(key.value() >> 32);
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < lanes; ++i) {
      const std::uint64_t left = std::uint64_t{0xD2511F53u} * c[0][i];
      const std::uint64_t right = std::uint64_t{0xCD9E8D57u} * c[2][i];
      c[0][i] = static_cast<std::uint32_t>(right >> 32) ^ c[1][i] ^ key0;
      c[1][i] = static_cast<std::uint32_t>(right);
      c[2][i] = static_cast<std::uint32_t>(left >> 32) ^ c[3][i] ^ key1;
      c[3][i] = static_cast<std::uint32_t>(left);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  for (std::size_t i = 0; i < lanes; ++i)
    for (std::size_t word = 0; word < 4; ++word) {
      bits[8 * i + 2 * word] = static_cast<std::uint16_t>(c[word][i]);
      bits[8 * i + 2 * word + 1] = static_cast<std::uint16_t>(c[word][i] >> 16);
    }
}

}  // namespace detail

/// Rounds values[i] into rounded[i] with the random bits of element `first_index + i` under `key`.
inline void round_stochastically(std::span<const float> values, std::span<bf16> rounded, Key key,
                                 std::uint64_t first_index) {
  std::array<std::uint16_t, detail::random_batch> bits;
  for (std::size_t i = 0; i < values.size();) {
    const std::uint64_t index = first_index + i;
    detail::fill_random_bits16(key, index / 8, bits.data());
    const std::size_t skipped = index % 8;
    const std::size_t count = std::min(bits.size() - skipped, values.size() - i);
    const float* const from = values.data() + i;
    bf16* const to = rounded.data() + i;
    for (std::size_t j = 0; j < count; ++j) to[j] = round_stochastically(from[j], bits[skipped + j]);
    i += count;
  }
}

}  // namespace burrow
