// Cuts bytes into words, the units that are counted in training and encoded one by one.
#pragma once

#include <cstddef>
#include <string_view>

namespace gopher {

/// The bytes of the UTF-8 character at the start of `text`; 0 when they are not valid UTF-8 or there are
/// none.
std::size_t utf8_length(std::string_view text);

/// The start of some text. Raw words (tabs, NUL, U+2581 and what is not UTF-8) are encoded byte by byte.
struct Word {
  std::string_view text;
  bool raw = false;
};

/// The longest word, in bytes; longer runs are cut at a character.
inline constexpr std::size_t longest_word = 256;

/// The first word of `text`, which must not be empty. A word is a run of spaces, or up to one space followed
/// by a run without spaces, which ends after line feeds and between an ASCII letter and another ASCII
/// character. Of several spaces the last one belongs to what follows: indentation, then ` return`.
Word first_word(std::string_view text);

}  // namespace gopher
