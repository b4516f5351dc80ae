// Counter-based random numbers (Philox4x32-10). A Key is a value: the same key and index give the same bits
// on every machine, thread count and device, and drawing changes nothing. Source: Salmon et al., "Parallel
// random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace burrow {

namespace detail {

constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::uint32_t key0,
                                              std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t right = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(right >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(right),
               static_cast<std::uint32_t>(left >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(left)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

}  // namespace detail

/// A 64-bit random key. `split` and `fold_in` derive independent keys; `bits`, `uniform` and `normal` draw
/// the number at an index.
class Key {
 public:
  constexpr Key() = default;
  constexpr explicit Key(std::uint64_t seed) : value_{seed} {}

  /// The key for item `data` under this key (a step, a layer, a rank): independent for every value of `data`.
  constexpr Key fold_in(std::uint64_t data) const {
    const auto r = block(data, 0x666F6C64u);
    return Key{(std::uint64_t{r[1]} << 32) | r[0]};
  }

  /// `Count` independent keys.
  template <std::size_t Count = 2>
  constexpr std::array<Key, Count> split() const {
    std::array<Key, Count> keys{};
    for (std::size_t i = 0; i < Count; ++i) {
      const auto r = block(i, 0x73706C74u);
      keys[i] = Key{(std::uint64_t{r[1]} << 32) | r[0]};
    }
    return keys;
  }

  /// Four 32-bit words for counter `index`; element i of a tensor uses word i % 4 of counter i / 4.
  constexpr std::array<std::uint32_t, 4> words(std::uint64_t index) const { return block(index, 0); }

  /// 32 random bits for element `index`.
  constexpr std::uint32_t bits(std::uint64_t index) const { return words(index / 4)[index % 4]; }

  /// Uniform in [0, 1) with 24 random bits, for element `index`.
  constexpr float uniform(std::uint64_t index) const {
    return static_cast<float>(bits(index) >> 8) * 0x1p-24f;
  }

  /// Standard normal for element `index`, computed in C (Box-Muller; a pair of words makes a pair of
  /// elements).
  template <class C = double>
  constexpr float normal(std::uint64_t index) const {
    const auto w = words(index / 4);
    const std::size_t pair = (index % 4) / 2 * 2;
    const C radius = std::sqrt(C(-2) * std::log((static_cast<C>(w[pair]) + C(1)) * C(0x1p-32)));
    const C angle = C(2) * std::numbers::pi_v<C> * (static_cast<C>(w[pair + 1]) * C(0x1p-32));
    return static_cast<float>(radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle)));
  }

  /// The key's 64 bits, to store it in a file.
  constexpr std::uint64_t value() const { return value_; }

  friend constexpr bool operator==(Key, Key) = default;

 private:
  constexpr std::array<std::uint32_t, 4> block(std::uint64_t index, std::uint32_t purpose) const {
    return detail::philox(
        {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), purpose, 0},
        static_cast<std::uint32_t>(value_), static_cast<std::uint32_t>(value_ >> 32));
  }

  std::uint64_t value_ = 0;
};

}  // namespace burrow
