// The subcommands of the `gopher` program, one file each, and how one is chosen by name.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gopher {

/// What follows a command's name on the command line.
using Arguments = std::span<const std::string>;

/// A subcommand. `run` returns the exit code: 0 fine, 1 failure; it throws UsageError for a wrong command
/// line and any other exception for a failure.
struct Command {
  std::string_view name;
  std::string_view purpose;
  int (*run)(Arguments);
};

int run_train(Arguments arguments);
int run_generate(Arguments arguments);
int run_info(Arguments arguments);
int run_plan(Arguments arguments);
int run_tokenizer(Arguments arguments);

/// Runs the command that the first argument names with the rest of them, or prints the list of commands when
/// help is asked for. `program` is the command line so far. Throws UsageError for a missing or unknown name.
int dispatch(std::string_view program, std::string_view purpose, std::span<const Command> commands,
             Arguments arguments);

}  // namespace gopher
