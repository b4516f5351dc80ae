#include "gopher_model/tokenizer/words.hpp"

#include <algorithm>

namespace gopher {

namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80u; }

// SentencePiece writes a space as U+2581; the character itself would come back as a space.
bool is_raw(std::string_view text) {
  return text[0] == '\t' || text[0] == '\0' || text.starts_with("\xE2\x96\x81") || utf8_length(text) == 0;
}

bool ends_word(char last, char next) {
  if (last == '\n') return next != '\n';
  return is_ascii(last) && is_ascii(next) && is_letter(last) != is_letter(next);
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80u) return 1;
  const std::size_t length = first < 0xC2u   ? 0
                             : first < 0xE0u ? 2
                             : first < 0xF0u ? 3
                             : first < 0xF5u ? 4
                                             : 0;
  if (length == 0 || text.size() < length) return 0;
  if (!std::all_of(text.begin() + 1, text.begin() + static_cast<std::ptrdiff_t>(length), is_continuation)) {
    return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const bool overlong = (first == 0xE0u && second < 0xA0u) || (first == 0xF0u && second < 0x90u);
  const bool surrogate = first == 0xEDu && second >= 0xA0u;
  const bool too_large = first == 0xF4u && second >= 0x90u;
  return overlong || surrogate || too_large ? 0 : length;
}

Word first_word(std::string_view text) {
  if (is_raw(text)) {
    return {text.substr(0, std::max<std::size_t>(1, utf8_length(text))), true};
  }
  const std::size_t spaces = std::min(text.substr(0, longest_word + 1).find_first_not_of(' '), text.size());
  if (spaces > longest_word) return {text.substr(0, longest_word), false};
  const std::string_view rest = text.substr(spaces);
  const bool joins_rest = !rest.empty() && rest[0] != '\n' && !is_raw(rest);
  const std::size_t alone = joins_rest && spaces > 0 ? spaces - 1 : spaces;
  if (alone > 0) return {text.substr(0, alone), false};
  std::size_t end = spaces + utf8_length(text.substr(spaces));
  while (end < text.size() && text[end] != ' ' && !ends_word(text[end - 1], text[end])) {
    if (is_raw(text.substr(end))) break;
    const std::size_t next = end + utf8_length(text.substr(end));
    if (next > longest_word) break;
    end = next;
  }
  return {text.substr(0, end), false};
}

}  // namespace gopher
