#include "gopher_model/cli/options.hpp"

#include <algorithm>
#include <iostream>
#include <utility>

#include <CLI/CLI.hpp>

#include "gopher_model/cli/help_text.hpp"
#include "gopher_model/model/nearest_name.hpp"
#include "gopher_model/model/quantities.hpp"

namespace gopher {
namespace {

bool is_flag(const Rule& rule) { return std::holds_alternative<FlagRule>(rule); }

bool is_list(const Rule& rule) { return std::holds_alternative<TextListRule>(rule); }

bool starts_like_option(std::string_view argument) { return argument.size() > 1 && argument.front() == '-'; }

// "--no-resume" for "--resume".
std::string negated(const std::string& name) { return "--no-" + name.substr(2); }

std::string placeholder(const Rule& rule) {
  if (std::holds_alternative<IntegerRule>(rule)) return " N";
  if (std::holds_alternative<RealRule>(rule)) return " X";
  if (std::holds_alternative<ChoiceRule>(rule)) return " NAME";
  if (const auto* text = std::get_if<TextRule>(&rule)) return " " + std::string(text->what);
  if (const auto* list = std::get_if<TextListRule>(&rule)) return " " + std::string(list->what) + " ...";
  return "";
}

std::string default_text(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? " (default)" : "";
  if (const auto* text = std::get_if<std::string>(&value)) return text->empty() ? "" : " (" + *text + ")";
  if (const auto* number = std::get_if<double>(&value)) return " (" + formatted("%g", *number) + ")";
  return std::holds_alternative<Index>(value) ? " (" + to_toml(value) + ")" : "";
}

}  // namespace

Options::Options(std::string command, std::string purpose, std::string example)
    : command_{std::move(command)}, purpose_{std::move(purpose)}, example_{std::move(example)} {}

void Options::add(const std::string& name, bool& flag, std::string_view help) {
  declare(name, "", help, FlagRule{}, flag, [&flag](const Value& value) { flag = std::get<bool>(value); });
}

void Options::add(const std::string& name, Index& number, const IntegerRule& rule, std::string_view help) {
  declare(name, "", help, rule, number, [&number](const Value& value) { number = std::get<Index>(value); });
}

void Options::add(const std::string& name, double& number, const RealRule& rule, std::string_view help) {
  declare(name, "", help, rule, number, [&number](const Value& value) { number = std::get<double>(value); });
}

void Options::add(const std::string& name, std::string& text, const TextRule& rule, std::string_view help) {
  declare(name, "", help, rule, text, [&text](const Value& value) { text = std::get<std::string>(value); });
}

void Options::add(const std::string& name, std::string& choice, const ChoiceRule& rule,
                  std::string_view help) {
  declare(name, "", std::string(help) + ": " + listed(rule.names), rule, choice,
          [&choice](const Value& value) { choice = std::get<std::string>(value); });
}

void Options::add(const std::string& name, std::vector<std::string>& texts, const TextListRule& rule,
                  std::string_view help) {
  declare(name, "", help, rule, texts,
          [&texts](const Value& value) { texts = std::get<std::vector<std::string>>(value); });
}

void Options::add(const Field& field, std::vector<Setting>& settings) {
  const std::string name = option_name(field.key);
  std::string help(field.help);
  if (const auto* choice = std::get_if<ChoiceRule>(&field.rule)) help += ": " + listed(choice->names);
  declare(name, field.group, help, field.rule, field.read({}), [&settings, &field, name](const Value& value) {
    settings.push_back({&field, value, name});
  });
}

void Options::declare(const std::string& name, std::string_view group, std::string_view help,
                      const Rule& rule, Value initial, std::function<void(const Value&)> accept) {
  options_.push_back(
      {name, std::string(group), std::string(help), rule, std::move(initial), std::move(accept), {}});
}

const Options::Option* Options::find(std::string_view name) const {
  const auto found = std::find_if(options_.begin(), options_.end(),
                                  [&](const Option& option) { return option.name == name; });
  return found == options_.end() ? nullptr : &*found;
}

bool Options::given(std::string_view name) const {
  const Option* option = find(name);
  return option && !option->texts.empty();
}

// Writes "--data a b" as "--data a --data b", so that every value stands alone and is taken as it is.
std::vector<std::string> Options::one_value_per_name(Arguments arguments) const {
  std::vector<std::string> expanded;
  const Option* list = nullptr;
  bool first = false;
  for (const std::string& argument : arguments) {
    const bool value = list && (first || !starts_like_option(argument));
    if (value && !first) expanded.push_back(list->name);
    expanded.push_back(argument);
    if (!value) list = find(argument);
    if (list && !is_list(list->rule)) list = nullptr;
    first = !value && list;
  }
  return expanded;
}

bool Options::parse(Arguments arguments) {
  CLI::App parser;
  parser.allow_extras();
  parser.set_help_flag("-h,--help");
  for (Option& option : options_) {
    if (is_flag(option.rule)) {
      parser.add_flag(option.name + ",!" + negated(option.name));
    } else {
      parser.add_option(option.name, option.texts)->allow_extra_args(false);
    }
  }
  std::vector<std::string> reversed = one_value_per_name(arguments);
  std::reverse(reversed.begin(), reversed.end());
  try {
    parser.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    std::cout << help();
    return false;
  } catch (const CLI::ParseError& error) {
    const std::string& last = arguments.back();
    const Option* option = find(last.substr(0, last.find('=')));
    if (!option) throw UsageError(command_ + ": " + error.what() + ".");
    throw UsageError(command_ + ": " + option->name + " needs a value, " + expected(option->rule) + ".");
  }
  refuse_swallowed_names();
  for (const std::string& argument : parser.remaining()) refuse(argument);
  for (Option& option : options_) {
    if (is_flag(option.rule)) option.texts = parser.get_option(option.name)->results();
    if (!option.texts.empty()) read(option);
  }
  return true;
}

// "--preset --steps 5" would take "--steps" for the preset's name.
void Options::refuse_swallowed_names() const {
  for (const Option& option : options_) {
    for (const std::string& text : option.texts) {
      const std::string name = text.substr(0, text.find('='));
      if (find(name)) throw UsageError(command_ + ": " + option.name + " needs a value before " + name + ".");
    }
  }
}

void Options::read(Option& option) const {
  try {
    if (is_list(option.rule)) {
      option.accept(checked(option.rule, option.texts, option.name));
    } else if (option.texts.size() > 1 && !is_flag(option.rule)) {
      throw UsageError(command_ + ": " + option.name + " was given " + std::to_string(option.texts.size()) +
                       " times; it takes one value.");
    } else {
      option.accept(parsed(option.rule, option.texts.back(), option.name));
    }
  } catch (const ConfigError& error) {
    throw UsageError(command_ + ": " + error.what());
  }
}

void Options::refuse(const std::string& argument) const {
  if (!starts_like_option(argument)) {
    throw UsageError(command_ + " takes options only, such as " + options_.front().name + ", not \"" +
                     argument + "\".");
  }
  const std::string name = argument.substr(0, argument.find('='));
  std::vector<std::string_view> names{"--help"};
  for (const Option& option : options_) names.push_back(option.name);
  throw UsageError(command_ + ": there is no option " + name + "; the closest is " +
                   std::string(nearest_name(name, names)) + ".");
}

std::string Options::help() const {
  std::string text =
      wrapped("gopher " + command_ + ": " + purpose_, 0) + "\n\nExample:\n  " + example_ + "\n";
  std::string_view group = "none yet";
  for (const Option& option : options_) {
    if (option.group != group) {
      group = option.group;
      text += "\n" + (group.empty() ? "Options" : "Settings: " + std::string(group)) + "\n";
    }
    const bool negatable = is_flag(option.rule) && !group.empty();
    const std::string name = negatable ? "--[no-]" + option.name.substr(2) : option.name;
    text += help_entry(name + placeholder(option.rule), option.help + default_text(option.initial));
  }
  return text;
}

}  // namespace gopher
