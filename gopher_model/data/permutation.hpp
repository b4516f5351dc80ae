// A keyed shuffle of 0 .. size-1 that is computed one element at a time and stores nothing.
#pragma once

#include <bit>
#include <burrow/core/key.hpp>
#include <cstdint>

namespace gopher {

/// A bijection of 0 .. size-1 drawn by a key: a Feistel network over an even number of bits, walked along its
/// cycle until it is below `size` (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
class Permutation {
 public:
  /// `size` must be at least 1 and below 2^62.
  Permutation(burrow::Key key, std::uint64_t size)
      : key_{key},
        size_{size},
        half_bits_{size <= 2 ? 1 : (static_cast<int>(std::bit_width(size - 1)) + 1) / 2} {}

  std::uint64_t size() const { return size_; }

  /// Where `index`, below size(), goes.
  std::uint64_t operator()(std::uint64_t index) const {
    // At least a quarter of the network's domain is below size, so it takes four steps or fewer on average.
    do index = network(index);
    while (index >= size_);
    return index;
  }

 private:
  static constexpr std::uint64_t rounds = 6;

  std::uint64_t network(std::uint64_t value) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    std::uint64_t left = value >> half_bits_;
    std::uint64_t right = value & mask;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const std::uint64_t mixed = left ^ (key_.words(round << 32 | right)[0] & mask);
      left = right;
      right = mixed;
    }
    return left << half_bits_ | right;
  }

  burrow::Key key_;
  std::uint64_t size_;
  int half_bits_;
};

}  // namespace gopher
