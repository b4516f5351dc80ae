// Damages bytes at random, reproducibly: flipped, overwritten, inserted, removed, cut off. `scripts/fuzz`
// runs all readers for long, under sanitizers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/core/key.hpp>

class Fuzzer {
 public:
  explicit Fuzzer(burrow::Key key) : key_{key} {}

  std::uint32_t below(std::size_t limit) {
    return static_cast<std::uint32_t>(key_.bits(next_++) % (limit == 0 ? 1 : limit));
  }

  /// The bytes with one to four damages.
  std::vector<std::byte> damage(std::vector<std::byte> bytes) {
    static constexpr std::string_view words[] = {"{",      "}",      "[",        "]",
                                                 "\"",     ",",      ":",        "-1",
                                                 "1e9",    "0",      " ",        "(",
                                                 "F64",    "'",      "99999999", "18446744073709551615",
                                                 "PK\1\2", "PK\3\4", "PK\5\6",   "\xFF\xFF\xFF\xFF"};
    for (std::uint32_t count = 1 + below(4); count > 0 && !bytes.empty(); --count) {
      const auto at = bytes.begin() + below(bytes.size());
      switch (below(6)) {
        case 0:
          *at ^= std::byte{1} << below(8);
          break;
        case 1:
          *at = static_cast<std::byte>(below(256));
          break;
        case 2: {
          const std::string_view word = words[below(std::size(words))];
          const auto* const data = reinterpret_cast<const std::byte*>(word.data());
          bytes.insert(at, data, data + word.size());
          break;
        }
        case 3:
          bytes.erase(at, at + below(static_cast<std::size_t>(bytes.end() - at)));
          break;
        case 4:
          bytes.resize(below(bytes.size()));
          break;
        default:
          bytes.insert(at, static_cast<std::byte>(below(256)));
      }
    }
    return bytes;
  }

 private:
  burrow::Key key_;
  std::uint64_t next_ = 0;
};

/// BURROW_FUZZ_ROUNDS, or `usual` where it is not set.
inline int fuzz_rounds(int usual) {
  const char* const rounds = std::getenv("BURROW_FUZZ_ROUNDS");
  return rounds == nullptr ? usual : std::atoi(rounds);
}

/// BURROW_FUZZ_SEED, or 2112 where it is not set.
inline std::uint64_t fuzz_seed() {
  const char* const seed = std::getenv("BURROW_FUZZ_SEED");
  return seed == nullptr ? 2112 : std::strtoull(seed, nullptr, 10);
}

/// The bytes of a text, and back.
inline std::vector<std::byte> fuzzed_bytes(std::string_view text) {
  const auto* const data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}
inline std::string fuzzed_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Parses `rounds` damaged copies of `bytes`: each is either read or refused with a Refusal that begins with
/// `name`. Returns how many were read.
template <class Refusal = burrow::IoError, class Parse>
int fuzz(const std::vector<std::byte>& bytes, int rounds, const Parse& parse,
         std::string_view name = "FILE: ") {
  Fuzzer fuzzer{burrow::Key{fuzz_seed()}};
  int read = 0;
  for (int round = 0; round < rounds; ++round) {
    try {
      parse(fuzzer.damage(bytes));
      ++read;
    } catch (const Refusal& error) {
      if (!std::string_view{error.what()}.starts_with(name)) throw;
    }
  }
  return read;
}
