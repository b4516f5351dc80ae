// Material for the tests of tokenizer and data: a small corpus, random strings, a directory of their own.
#pragma once

#include <unistd.h>
#include <array>
#include <burrow/core/key.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace gopher::testing {

/// A number below `bound` drawn by `key` at `index`.
inline std::size_t draw(burrow::Key key, std::uint64_t index, std::size_t bound) {
  return static_cast<std::size_t>(key.bits(index)) % bound;
}

/// Prose, code with indentation and some other scripts; about 40 bytes a line.
inline std::string corpus(std::size_t lines, burrow::Key key = burrow::Key{1}) {
  static constexpr std::array<std::string_view, 24> words{
      "the",  "gopher", "digs",  "a",       "burrow", "under",      "meadow", "and",
      "it",   "isn't",  "never", "seen",    "café",   "naïve",      "für",    "größer",
      "лесу", "живёт",  "我们",  "return;", "x += 1", "if (ready)", "3.14",   "2024"};
  std::string text;
  std::uint64_t index = 0;
  for (std::size_t line = 0; line < lines; ++line) {
    text.append(draw(key, index++, 4) * 4, ' ');
    for (int word = 0; word < 7; ++word) {
      const std::size_t most = 1 + draw(key, index++, words.size());
      text += words[draw(key, index++, most)];
      text += word == 6 ? '.' : ' ';
    }
    text += draw(key, index++, 8) == 0 ? "\n\n" : "\n";
  }
  return text;
}

/// A directory that is removed with all it holds when the test ends.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gopher-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  /// The path of `name` in the directory.
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace gopher::testing
