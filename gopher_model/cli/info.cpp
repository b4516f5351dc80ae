// gopher info: what a model or this machine amounts to, without building anything.
#include <filesystem>
#include <iostream>

#include "gopher_model/cli/command.hpp"
#include "gopher_model/cli/machine_text.hpp"
#include "gopher_model/cli/model_report.hpp"
#include "gopher_model/cli/options.hpp"

namespace gopher {
namespace {

// Only these settings change what is counted.
bool is_counted(const Field& field) {
  return field.group == "model" || field.key == "tokens" || field.key == "precision" ||
         field.key == "micro_batch" || field.key == "optimizer" || field.key == "beta1";
}

}  // namespace

int run_info(Arguments arguments) {
  std::string config;
  bool json = false, machine = false;
  std::vector<Setting> command_line;
  Options options(
      "info",
      "counts the parameters, bytes and FLOPs of a model, a preset or any other; without one it lists "
      "the presets.",
      "gopher info --preset 280B");
  options.add("--json", json, "print one JSON value, for programs");
  options.add("--machine", machine, "describe this machine, and measure its matrix products and memory");
  options.add("--config", config, TextRule{"FILE"}, "count the model of this TOML file");
  for (const Field& field : run_fields()) {
    if (is_counted(field)) options.add(field, command_line);
  }
  if (!options.parse(arguments)) return 0;

  const bool about_model = !config.empty() || !command_line.empty();
  if (machine && about_model) {
    throw UsageError("info: --machine describes the machine only, so no model can be given beside it.");
  }
  if (machine) {
    std::cout << (json ? machine_json() : machine_text());
  } else if (!about_model) {
    std::cout << (json ? presets_json() : presets_text());
  } else {
    std::vector<Setting> file;
    if (!config.empty()) file = read_settings(std::filesystem::path(config));
    const RunConfiguration configuration = resolve(file, command_line);
    validate(configuration.size);
    std::cout << (json ? report_json(configuration) : report_text(configuration));
  }
  return 0;
}

}  // namespace gopher
