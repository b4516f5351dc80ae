// The one table of all settings of a run: from it come the TOML keys, the command line and the help.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gopher_model/training/run_configuration.hpp"
#include "gopher_model/training/setting_rules.hpp"

namespace gopher {

/// One setting. Its key is spelt `like_this` in TOML, within the table `[group]`, and `--like-this` on the
/// command line; there is no other spelling.
struct Field {
  std::string_view key;
  std::string_view group;
  std::string_view help;
  Rule rule;
  Value (*read)(const RunConfiguration&);
  void (*write)(RunConfiguration&, const Value&);  ///< takes a value that `checked(rule, ...)` returned
};

/// All fields, those of one group together.
std::span<const Field> run_fields();

/// The names of the groups, in order.
std::vector<std::string_view> run_groups();

/// The field with this key, null if there is none.
const Field* find_field(std::string_view key);

/// The field whose key is closest to `key`, for messages.
const Field& nearest_field(std::string_view key);

/// "--like-this" for the key `like_this`.
std::string option_name(std::string_view key);

}  // namespace gopher
