// A strict reader of JSON text (RFC 8259) for the headers of files, and the writing of its strings. It builds
// no tree: the caller walks objects and lists in the order of the text. It exists because a general JSON
// library takes longer to compile than all of burrow.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace burrow::detail {

/// What is wrong with JSON text, and at which byte (counted from 1).
struct JsonError {
  std::size_t byte;
  std::optional<std::string> repeated_key{};  // set where the text is JSON, but an object has this key twice
};

/// Length of the UTF-8 character at the start of the text, 0 where there is none (Unicode 15, table 3-7).
inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto continued = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first >= 0xC2 && first <= 0xDF) return continued(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && second < 0xA0, surrogate = first == 0xED && second > 0x9F;
    return continued(1) && continued(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && second < 0x90, beyond = first == 0xF4 && second > 0x8F;
    return continued(1) && continued(2) && continued(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

/// Adds a code point as UTF-8.
inline void append_utf8(std::string& to, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { to += static_cast<char>(static_cast<unsigned char>(byte)); };
  const auto tail = [&](int shift) { put(0x80u | ((code >> shift) & 0x3Fu)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0u | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    put(0xE0u | (code >> 12));
    tail(6);
    tail(0);
  } else {
    put(0xF0u | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

/// Walks JSON text; every member function throws JsonError where the text is not what it asks for.
class JsonReader {
 public:
  enum class Kind { object, list, string, number, word };

  explicit JsonReader(std::string_view text) : text_{text} {}

  /// What the next value is.
  Kind kind() {
    switch (peek()) {
      case '{':
        return Kind::object;
      case '[':
        return Kind::list;
      case '"':
        return Kind::string;
      case 't':
      case 'f':
      case 'n':
        return Kind::word;
      default:
        return Kind::number;
    }
  }

  /// Reads an object; member(key) must read the value.
  template <class Member>
  void object(const Member& member) {
    std::set<std::string> keys;
    take('{');
    if (!found('}')) {
      do {
        if (peek() != '"') fail();
        auto [key, added] = keys.insert(string());
        if (!added) throw JsonError{at_ + 1, *key};
        take(':');
        member(*key);
      } while (found(','));
      take('}');
    }
  }

  /// Reads a list; element() must read one value.
  template <class Element>
  void list(const Element& element) {
    take('[');
    if (!found(']')) {
      do element();
      while (found(','));
      take(']');
    }
  }

  std::string string() {
    std::string result;
    take('"');
    while (next() != '"') {
      if (next() == '\\') {
        escape(result);
      } else {
        const std::size_t length = utf8_length(text_.substr(at_));
        if (length == 0 || static_cast<unsigned char>(next()) < 0x20) fail();
        result.append(text_, at_, length);
        at_ += length;
      }
    }
    ++at_;
    return result;
  }

  /// Reads a number: its value where it is an integer from 0 to 2^63 - 1, written without fraction or
  /// exponent.
  std::optional<std::int64_t> size() {
    peek();
    const bool negative = accept('-');
    std::optional<std::int64_t> value = 0;
    if (!accept('0')) value = digits();
    const bool fraction = accept('.');
    if (fraction) digits();
    const bool exponent = accept('e') || accept('E');
    if (exponent) {
      if (!accept('+')) accept('-');
      digits();
    }
    return negative || fraction || exponent ? std::nullopt : value;
  }

  /// Reads any value and drops it.
  void skip(int depth = 0) {
    if (depth > 64) fail();
    switch (kind()) {
      case Kind::object:
        return object([&](const std::string&) { skip(depth + 1); });
      case Kind::list:
        return list([&] { skip(depth + 1); });
      case Kind::string:
        string();
        return;
      case Kind::number:
        size();
        return;
      case Kind::word:
        return word();
    }
  }

  /// Nothing but white space must follow.
  void end() {
    space();
    if (at_ != text_.size()) fail();
  }

 private:
  [[noreturn]] void fail() const { throw JsonError{at_ + 1}; }

  void space() {
    while (at_ < text_.size() && std::string_view{" \t\n\r"}.find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  char next() const {
    if (at_ == text_.size()) fail();
    return text_[at_];
  }
  char peek() {
    space();
    return next();
  }
  bool accept(char c) {
    const bool is = at_ < text_.size() && text_[at_] == c;
    at_ += is;
    return is;
  }
  bool found(char c) {
    space();
    return accept(c);
  }
  void take(char c) {
    if (peek() != c) fail();
    ++at_;
  }

  /// One or more digits; their value where it fits.
  std::optional<std::int64_t> digits() {
    std::optional<std::int64_t> value = 0;
    const std::size_t begin = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const int digit = text_[at_] - '0';
      if (value && *value > (INT64_MAX - digit) / 10) value.reset();
      if (value) value = *value * 10 + digit;
    }
    if (at_ == begin) fail();
    return value;
  }

  std::uint32_t hexadecimal() {
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = next();
      const bool digit = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'f', upper = c >= 'A' && c <= 'F';
      if (!digit && !lower && !upper) fail();
      code = code * 16 + static_cast<std::uint32_t>(digit ? c - '0' : lower ? c - 'a' + 10 : c - 'A' + 10);
    }
    return code;
  }

  void escape(std::string& to) {
    ++at_;
    constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
    const char name = next();
    if (const auto i = names.find(name); i != std::string_view::npos) {
      to += values[i];
      ++at_;
      return;
    }
    if (name != 'u') fail();
    ++at_;
    std::uint32_t code = hexadecimal();
    if (code >= 0xDC00 && code < 0xE000) fail();
    if (code >= 0xD800 && code < 0xDC00) {  // the first half of a pair
      if (!accept('\\') || !accept('u')) fail();
      const std::uint32_t low = hexadecimal();
      if (low < 0xDC00 || low > 0xDFFF) fail();
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(to, code);
  }

  void word() {
    for (const std::string_view known : {"true", "false", "null"})
      if (text_.substr(at_, known.size()) == known) {
        at_ += known.size();
        return;
      }
    fail();
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// The text as a JSON string with its quotes, or nothing where it is not UTF-8.
inline std::optional<std::string> json_string(std::string_view text) {
  std::string result = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) return {};
    const char c = text[i];
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr std::string_view letters = "0123456789abcdef";
      result += "\\u00";
      result += letters[static_cast<std::size_t>(c) / 16];
      result += letters[static_cast<std::size_t>(c) % 16];
    } else {
      result.append(text, i, length);
    }
    i += length;
  }
  return result + '"';
}

}  // namespace burrow::detail
