// RunConfiguration as a TOML file, read and written from the table of fields.
#include <toml++/toml.h>
#include <burrow/io/file.hpp>
#include <optional>
#include <sstream>

#include "gopher_model/model/nearest_name.hpp"
#include "gopher_model/training/run_fields.hpp"
#include "gopher_model/training/toml_guard.hpp"

namespace gopher {
namespace {

std::string place(std::string_view source, const toml::node& node) {
  return std::string(source) + ":" + std::to_string(node.source().begin.line);
}

std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return line;
}

toml::table parse(std::string_view text, std::string_view source) {
  refuse_undefined_toml(text, source);
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    throw ConfigError(std::string(source) + ":" + std::to_string(error.source().begin.line) + ": " +
                      one_line(error.description()) + ".");
  }
}

std::optional<Value> value_of(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* integer = node.as_integer()) return Index{integer->get()};
  if (const auto* real = node.as_floating_point()) return real->get();
  if (const auto* text = node.as_string()) return text->get();
  const toml::array* list = node.as_array();
  if (!list) return std::nullopt;
  std::vector<std::string> texts;
  for (const toml::node& element : *list) {
    const auto* text = element.as_string();
    if (!text) return std::nullopt;
    texts.push_back(text->get());
  }
  return texts;
}

[[noreturn]] void refuse_key(std::string_view key, std::string_view group, const std::string& where) {
  if (const Field* field = find_field(key)) {
    throw ConfigError(where + ": " + std::string(key) + " belongs in the table [" +
                      std::string(field->group) + "]" +
                      (group.empty() ? "." : ", not in [" + std::string(group) + "]."));
  }
  const Field& nearest = nearest_field(key);
  throw ConfigError(where + ": there is no key " + to_toml(Value{std::string(key)}) + "; the closest is " +
                    std::string(nearest.key) + " in the table [" + std::string(nearest.group) + "].");
}

Setting read_setting(std::string_view key, const toml::node& node, std::string_view group,
                     std::string_view source) {
  const std::string where = place(source, node);
  const Field* field = find_field(key);
  if (!field || field->group != group) refuse_key(key, group, where);
  const std::string name = where + ": " + std::string(key);
  const std::optional<Value> value = value_of(node);
  if (!value) {
    std::ostringstream type;
    type << node.type();
    throw ConfigError(name + " must be " + expected(field->rule) + ", not a value of type " + type.str() +
                      ".");
  }
  return {field, checked(field->rule, *value, name), where};
}

[[noreturn]] void refuse_group(std::string_view group, const std::string& where) {
  const std::vector<std::string_view> groups = run_groups();
  throw ConfigError(where + ": there is no table " + to_toml(Value{std::string(group)}) +
                    "; the closest is [" + std::string(nearest_name(group, groups)) +
                    "], and all of them are " + listed(groups) + ".");
}

bool is_group(std::string_view name) {
  for (const std::string_view group : run_groups()) {
    if (group == name) return true;
  }
  return false;
}

}  // namespace

std::vector<Setting> read_settings(std::string_view text, std::string_view source) {
  const toml::table root = parse(text, source);
  std::vector<Setting> settings;
  for (auto&& [group, node] : root) {
    const toml::table* table = node.as_table();
    const std::string_view name = group.str();
    if (table && is_group(name)) {
      for (auto&& [key, value] : *table) settings.push_back(read_setting(key.str(), value, name, source));
    } else if (table) {
      refuse_group(name, place(source, node));
    } else {
      refuse_key(name, "", place(source, node));
    }
  }
  return settings;
}

std::vector<Setting> read_settings(const std::filesystem::path& path) {
  return read_settings(burrow::read_text(path), path.string());
}

RunConfiguration load_toml(std::string_view text, std::string_view source) {
  return resolve(read_settings(text, source), {});
}

std::string to_toml(const RunConfiguration& configuration) {
  std::string text;
  std::string_view group;
  for (const Field& field : run_fields()) {
    if (field.group != group) {
      group = field.group;
      text += (text.empty() ? "[" : "\n[") + std::string(group) + "]\n";
    }
    const std::string line = std::string(field.key) + " = " + to_toml(field.read(configuration));
    constexpr std::size_t comment_column = 40;
    const std::size_t gap = line.size() < comment_column ? comment_column - line.size() : 2;
    text += line + std::string(gap, ' ') + "# " + std::string(field.help) + "\n";
  }
  return text;
}

}  // namespace gopher
