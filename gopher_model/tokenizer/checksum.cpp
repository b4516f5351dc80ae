#include "gopher_model/tokenizer/checksum.hpp"

#include <cstddef>
#include <cstring>

namespace gopher {

std::uint64_t checksum(std::string_view bytes, std::uint64_t seed) {
  // Every step is a bijection of the state for a given word, so one changed word always changes the result.
  constexpr std::uint64_t multiplier = 0x9E3779B97F4A7C15u;
  std::uint64_t state = (seed ^ bytes.size()) * multiplier;
  const auto absorb = [&state](const char* from, std::size_t count) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, count);
    state = (state ^ word) * multiplier;
    state ^= state >> 32;
  };
  std::size_t position = 0;
  for (; position + 8 <= bytes.size(); position += 8) absorb(bytes.data() + position, 8);
  absorb(bytes.data() + position, bytes.size() - position);
  return state;
}

}  // namespace gopher
