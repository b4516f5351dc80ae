#include "gopher_model/training/setting_rules.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "gopher_model/model/nearest_name.hpp"

namespace gopher {
namespace {

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

template <class Number>
std::string written(Number value) {
  std::array<char, 40> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

// The bytes of the UTF-8 sequence that `text` starts with, 0 if it starts with none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xC2 && lead < 0xE0 ? 2 : lead >= 0xE0 && lead < 0xF0 ? 3 : 4;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return 0;
  }
  const unsigned second = byte(1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool outside = (lead == 0xED && second >= 0xA0) || (lead == 0xF4 && second >= 0x90);
  return overlong || outside ? 0 : length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string toml_string(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\u00";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// `value` for the end of a message: what was given, cut where it is long.
std::string shown(const Value& value) {
  constexpr std::size_t longest = 60;
  std::string text = to_toml(value);
  if (!is_utf8(text)) return "text that is not UTF-8";
  if (text.size() <= longest) return text;
  std::size_t end = longest;
  while ((static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return text.substr(0, end) + "...";
}

std::optional<Index> whole(double value) {
  constexpr double limit = 0x1p53;
  if (!(std::abs(value) <= limit) || value != std::floor(value)) return std::nullopt;
  return static_cast<Index>(value);
}

bool accepts(const RealRule& rule, double value) {
  const bool above = rule.min_excluded ? value > rule.min : value >= rule.min;
  const bool below = rule.max_excluded ? value < rule.max : value <= rule.max;
  return std::isfinite(value) && above && below;
}

// The value in the rule's type, or nothing if the rule refuses it.
std::optional<Value> converted(const FlagRule&, const Value& value) {
  return std::holds_alternative<bool>(value) ? std::optional{value} : std::nullopt;
}

std::optional<Value> converted(const IntegerRule& rule, const Value& value) {
  std::optional<Index> number;
  if (const auto* integer = std::get_if<Index>(&value)) number = *integer;
  if (const auto* real = std::get_if<double>(&value)) number = whole(*real);
  if (!number || *number < rule.min || *number > rule.max) return std::nullopt;
  return *number;
}

std::optional<Value> converted(const RealRule& rule, const Value& value) {
  std::optional<double> number;
  if (const auto* integer = std::get_if<Index>(&value)) number = static_cast<double>(*integer);
  if (const auto* real = std::get_if<double>(&value)) number = *real;
  if (!number || !accepts(rule, *number)) return std::nullopt;
  return *number;
}

std::optional<Value> converted(const TextRule&, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text && is_utf8(*text) ? std::optional{value} : std::nullopt;
}

std::optional<Value> converted(const TextListRule&, const Value& value) {
  std::vector<std::string> texts;
  if (const auto* text = std::get_if<std::string>(&value)) {
    texts = {*text};
  } else if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    texts = *list;
  } else {
    return std::nullopt;
  }
  if (!std::all_of(texts.begin(), texts.end(), is_utf8)) return std::nullopt;
  return texts;
}

std::optional<Value> converted(const ChoiceRule& rule, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  const bool known = text && std::find(rule.names.begin(), rule.names.end(), *text) != rule.names.end();
  return known ? std::optional{value} : std::nullopt;
}

std::string expected_range(const RealRule& rule) {
  return std::string("a number ") + (rule.min_excluded ? "above " : "from ") + written(rule.min) +
         (rule.max_excluded   ? " to below "
          : rule.min_excluded ? " and up to "
                              : " to ") +
         written(rule.max);
}

}  // namespace

std::string expected(const Rule& rule) {
  return std::visit(
      overloaded{
          [](const FlagRule&) { return std::string("true or false"); },
          [](const IntegerRule& r) {
            return "a whole number from " + written(r.min) + " to " + written(r.max);
          },
          [](const RealRule& r) { return expected_range(r); },
          [](const TextRule&) { return std::string("text in UTF-8"); },
          [](const TextListRule&) { return std::string("a list of texts in UTF-8"); },
          [](const ChoiceRule& r) { return (r.names.size() > 1 ? "one of " : "") + listed(r.names); },
      },
      rule);
}

Value checked(const Rule& rule, const Value& value, std::string_view name) {
  auto result = std::visit([&](const auto& r) { return converted(r, value); }, rule);
  if (!result) {
    throw ConfigError(std::string(name) + " must be " + expected(rule) + ", not " + shown(value) + ".");
  }
  const auto* text = std::get_if<TextRule>(&rule);
  if (text && text->check) {
    try {
      text->check(std::get<std::string>(*result));
    } catch (const ConfigError& error) {
      throw ConfigError(std::string(name) + ": " + error.what());
    }
  }
  return *result;
}

Value parsed(const Rule& rule, const std::string& text, std::string_view name) {
  Value value = text;
  const char *const begin = text.data(), *const end = begin + text.size();
  if (std::holds_alternative<IntegerRule>(rule) || std::holds_alternative<RealRule>(rule)) {
    Index integer = 0;
    double real = 0;
    if (const auto [stop, error] = std::from_chars(begin, end, integer);
        stop == end && error == std::errc()) {
      value = integer;
    } else if (const auto [last, e] = std::from_chars(begin, end, real); last == end && e == std::errc()) {
      value = real;
    }
  } else if (std::holds_alternative<FlagRule>(rule) && (text == "true" || text == "false")) {
    value = text == "true";
  }
  return checked(rule, value, name);
}

std::string to_toml(const Value& value) {
  return std::visit(overloaded{
                        [](bool flag) { return std::string(flag ? "true" : "false"); },
                        [](Index number) { return written(number); },
                        [](double number) {
                          const std::string text = written(number);
                          return text.find_first_of(".enai") == text.npos ? text + ".0" : text;
                        },
                        [](const std::string& text) { return toml_string(text); },
                        [](const std::vector<std::string>& texts) {
                          std::string list;
                          for (const std::string& text : texts)
                            list += (list.empty() ? "" : ", ") + toml_string(text);
                          return "[" + list + "]";
                        },
                    },
                    value);
}

}  // namespace gopher
