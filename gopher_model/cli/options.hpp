// The options of one command: declared with their rules, then parsed and explained.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <burrow/core/error.hpp>

#include "gopher_model/cli/command.hpp"
#include "gopher_model/training/run_fields.hpp"
#include "gopher_model/training/setting_rules.hpp"

namespace gopher {

/// A command line that means nothing; the program ends with exit code 2.
struct UsageError : burrow::Error {
  using Error::Error;
};

/// Declares options that write to variables when they are given; what they point to must outlive parse().
class Options {
 public:
  /// `command` as typed after "gopher" ("tokenizer train"), what it does, and one complete example of its
  /// use.
  Options(std::string command, std::string purpose, std::string example);

  /// One option `--like-this` each; the variable's value is the default that help shows.
  void add(const std::string& name, bool& flag, std::string_view help);
  void add(const std::string& name, Index& number, const IntegerRule& rule, std::string_view help);
  void add(const std::string& name, double& number, const RealRule& rule, std::string_view help);
  void add(const std::string& name, std::string& text, const TextRule& rule, std::string_view help);
  void add(const std::string& name, std::string& choice, const ChoiceRule& rule, std::string_view help);
  void add(const std::string& name, std::vector<std::string>& texts, const TextListRule& rule,
           std::string_view help);

  /// An option for a field of the run configuration; what is given is appended to `settings`.
  void add(const Field& field, std::vector<Setting>& settings);

  /// Reads a command's arguments. Returns false if help was asked for and printed instead. Throws UsageError
  /// for unknown options (naming the closest), missing, repeated or unacceptable values.
  bool parse(Arguments arguments);

  /// Whether the option was given; call it after parse().
  bool given(std::string_view name) const;

  /// The help text.
  std::string help() const;

 private:
  struct Option {
    std::string name;
    std::string group;
    std::string help;
    Rule rule;
    Value initial;
    std::function<void(const Value&)> accept;
    std::vector<std::string> texts;  // given on the command line
  };

  void declare(const std::string& name, std::string_view group, std::string_view help, const Rule& rule,
               Value initial, std::function<void(const Value&)> accept);
  const Option* find(std::string_view name) const;
  std::vector<std::string> one_value_per_name(Arguments arguments) const;
  void refuse_swallowed_names() const;
  void read(Option& option) const;
  [[noreturn]] void refuse(const std::string& argument) const;

  std::string command_, purpose_, example_;
  std::vector<Option> options_;
};

}  // namespace gopher
