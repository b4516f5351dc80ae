// What a setting may be: one value type for files and command lines, and rules that check it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gopher_model/model/configuration.hpp"

namespace gopher {

/// The value of one setting. A choice is the text of its name.
using Value = std::variant<bool, Index, double, std::string, std::vector<std::string>>;

struct FlagRule {};

/// A whole number from `min` to `max`; written with a fraction or an exponent it must still be whole (3e11).
struct IntegerRule {
  Index min, max;
};

/// A finite number from `min` to `max`, without the ends that are excluded.
struct RealRule {
  double min, max;
  bool min_excluded = false, max_excluded = false;
};

/// Any text in UTF-8 that `check` accepts; `check` throws ConfigError otherwise. `what` names it in help.
struct TextRule {
  std::string_view what;
  void (*check)(std::string_view) = nullptr;
};

/// Any number of texts in UTF-8. `what` names one of them in help.
struct TextListRule {
  std::string_view what;
};

struct ChoiceRule {
  std::span<const std::string_view> names;
};

using Rule = std::variant<FlagRule, IntegerRule, RealRule, TextRule, TextListRule, ChoiceRule>;

/// What the rule accepts, to stand after "must be": "a whole number from 1 to 4096".
std::string expected(const Rule& rule);

/// `value` as the type that the rule asks for (an Index becomes a double where numbers are asked for, a
/// single text a list of one); throws ConfigError "<name> must be ..., not ..." if it is not acceptable.
Value checked(const Rule& rule, const Value& value, std::string_view name);

/// The value that `text` stands for on a command line, checked.
Value parsed(const Rule& rule, const std::string& text, std::string_view name);

/// `value` as a TOML file writes it; reading it gives the same value back, bit for bit.
std::string to_toml(const Value& value);

}  // namespace gopher
