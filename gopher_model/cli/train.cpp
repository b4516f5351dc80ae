// gopher train: from a file and a command line to a configuration, and from that to a run.
#include <filesystem>
#include <iostream>

#include "gopher_model/cli/command.hpp"
#include "gopher_model/cli/options.hpp"
#include "gopher_model/training/run_configuration.hpp"
#include "gopher_model/training/trainer.hpp"

namespace gopher {
namespace {

// A resumed run goes on as it was: with the configuration in its directory, where no other file is named.
std::string saved_configuration(const RunConfiguration& asked) {
  if (!asked.resume) return "";
  const std::filesystem::path saved = std::filesystem::path(asked.run) / configuration_file_name;
  return std::filesystem::exists(saved) ? saved.string() : "";
}

}  // namespace

int run_train(Arguments arguments) {
  std::string config;
  bool print_config = false;
  std::vector<Setting> command_line;
  Options options(
      "train",
      "trains a model on text. Every setting below may also stand in a TOML file, in the table of "
      "its group and spelt with underscores: [training] micro_batch = 4. The command line overrides "
      "the file, the file the preset. Defaults stand in parentheses; a preset replaces many.",
      "gopher train --preset tiny --data book.txt --time-limit 10 --run runs/book");
  options.add("--config", config, TextRule{"FILE"}, "read settings from this TOML file");
  options.add("--print-config", print_config, "print the settings that result, as such a file, and stop");
  for (const Field& field : run_fields()) options.add(field, command_line);
  if (!options.parse(arguments)) return 0;

  if (config.empty()) config = saved_configuration(resolve({}, command_line));
  std::vector<Setting> file;
  if (!config.empty()) file = read_settings(std::filesystem::path(config));
  const RunConfiguration configuration = resolve(file, command_line);
  if (print_config) {
    std::cout << to_toml(configuration);
    return 0;
  }
  validate(configuration);
  return train(configuration);
}

}  // namespace gopher
