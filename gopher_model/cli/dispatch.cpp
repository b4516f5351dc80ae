#include <iostream>
#include <vector>

#include "gopher_model/cli/command.hpp"
#include "gopher_model/cli/help_text.hpp"
#include "gopher_model/cli/options.hpp"
#include "gopher_model/model/nearest_name.hpp"

namespace gopher {
namespace {

std::string command_list(std::string_view program, std::string_view purpose,
                         std::span<const Command> commands) {
  std::string text = wrapped(std::string(program) + ": " + std::string(purpose), 0) + "\n\n";
  for (const Command& command : commands) text += help_entry(std::string(command.name), command.purpose);
  return text + "\nHelp with one of them: " + std::string(program) + " " +
         std::string(commands.front().name) + " --help\n";
}

std::string program_option(std::string_view program, const std::string& name, const std::string& known) {
  return std::string(program) + " has no option " + name +
         " of its own, only --help and, without a command, --version; a command comes first, " + known + ".";
}

}  // namespace

int dispatch(std::string_view program, std::string_view purpose, std::span<const Command> commands,
             Arguments arguments) {
  std::vector<std::string_view> names;
  for (const Command& command : commands) names.push_back(command.name);
  const std::string known = "one of " + listed(names);
  if (arguments.empty())
    throw UsageError("a command must follow " + std::string(program) + ", " + known + ".");
  const std::string& name = arguments.front();
  const bool asks_help = name == "--help" || name == "-h" || name == "help";
  if (asks_help && arguments.size() == 1) {
    std::cout << command_list(program, purpose, commands);
    return 0;
  }
  if (asks_help) {  // "help tokenizer train" is "tokenizer train --help"
    std::vector<std::string> reordered{arguments.begin() + 1, arguments.end()};
    reordered.emplace_back("--help");
    return dispatch(program, purpose, commands, reordered);
  }
  for (const Command& command : commands) {
    if (command.name == name) return command.run(arguments.subspan(1));
  }
  if (name.starts_with('-')) throw UsageError(program_option(program, name, known));
  throw UsageError("there is no command " + std::string(program) + " " + quoted_name(name) +
                   "; the closest is " + std::string(nearest_name(name, names)) + ", and it must be " +
                   known + ".");
}

}  // namespace gopher
