#include "gopher_model/training/session_parts.hpp"

namespace gopher {

std::string shorten_warmup(RunConfiguration& configuration, Index total_steps) {
  const Index longest = total_steps / 5;
  if (total_steps == 0 || configuration.warmup_steps <= longest) return "";
  const Index asked = std::exchange(configuration.warmup_steps, longest);
  return "warm-up shortened from " + std::to_string(asked) + " to " + std::to_string(longest) +
         " steps, a fifth of the run's " + std::to_string(total_steps);
}

void save_configuration(const RunDirectory& run, RunConfiguration configuration) {
  configuration.resume = configuration.profile = false;  // the file serves other runs too
  run.write_text(std::string(configuration_file_name), to_toml(configuration));
}

}  // namespace gopher
