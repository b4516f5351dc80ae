#include "gopher_model/training/run_configuration.hpp"

#include <algorithm>

#include "gopher_model/training/batch_schedule.hpp"
#include "gopher_model/training/run_fields.hpp"

namespace gopher {
namespace {

const Setting* find_setting(std::span<const Setting> settings, std::string_view key) {
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&](const Setting& setting) { return setting.field->key == key; });
  return found == settings.end() ? nullptr : &*found;
}

// A preset on the command line promises a model; a file's model that differs would silently break it.
void refuse_contradictions(std::span<const Setting> file, std::span<const Setting> command_line,
                           const RunConfiguration& promised) {
  for (const Setting& setting : file) {
    const Field& field = *setting.field;
    if (field.group != "model" || field.key == "preset" || find_setting(command_line, field.key)) continue;
    const Value wanted = field.read(promised);
    if (setting.value == wanted) continue;
    throw ConfigError(setting.where + ": " + std::string(field.key) + " = " + to_toml(setting.value) +
                      " contradicts --preset " + promised.preset + ", where it is " + to_toml(wanted) +
                      "; remove one of them, or give " + option_name(field.key) + " as well.");
  }
}

void require_whole_batches(const RunConfiguration& c) {
  const Index unit = c.size.context * c.micro_batch;
  if (c.batch_tokens % unit == 0) return;
  const Index nearest = std::max<Index>(1, (c.batch_tokens + unit / 2) / unit) * unit;
  throw ConfigError("batch_tokens must be a multiple of context x micro_batch = " + std::to_string(unit) +
                    ", such as " + std::to_string(nearest) + ", not " + std::to_string(c.batch_tokens) + ".");
}

}  // namespace

StateBytes state_bytes(const RunConfiguration& c) {
  StateBytes bytes = state_bytes(c.size, c.precision);
  if (c.optimizer == OptimizerKind::sgd) bytes.moments = c.beta1 > 0 ? bytes.moments / 2 : 0;
  return bytes;
}

bool copies_checkpoints(const RunConfiguration& c) {
  return c.asynchronous_checkpoints && c.checkpoint_every > 0;
}

void apply_preset(RunConfiguration& configuration, const Preset& preset) {
  configuration.preset = preset.name;
  configuration.size = preset.size;
  configuration.tokens = preset.tokens;
  configuration.batch_tokens = preset.batch_tokens;
  configuration.batch_ramp = preset.batch_factor > 1 ? "0.5:" + std::to_string(preset.batch_factor) : "";
  configuration.micro_batch = preset.micro_batch;
  configuration.precision = preset.precision;
  configuration.learning_rate = preset.learning_rate;
  configuration.warmup_steps = preset.warmup_steps;
  configuration.clip = preset.clip;
}

RunConfiguration resolve(std::span<const Setting> file, std::span<const Setting> command_line) {
  RunConfiguration configuration;
  const Setting* const given = find_setting(command_line, "preset");
  const Setting* const named = given ? given : find_setting(file, "preset");
  if (named) apply_preset(configuration, preset(std::get<std::string>(named->value)));
  if (given) refuse_contradictions(file, command_line, configuration);
  for (const Setting& setting : file) setting.field->write(configuration, setting.value);
  for (const Setting& setting : command_line) setting.field->write(configuration, setting.value);
  return configuration;
}

void validate(const RunConfiguration& c) {
  validate(c.size);
  if (c.run.empty()) throw ConfigError("run must name the directory that the run is written to.");
  if (c.steps == 0 && c.tokens == 0 && c.time_limit == 0) {
    throw ConfigError("one of steps, tokens and time_limit must be above 0, so that training ends.");
  }
  if (c.steps == 0 && c.tokens == 0 && !c.batch_ramp.empty()) {
    throw ConfigError("batch_ramp needs steps or tokens above 0, since it is at a fraction of the run.");
  }
  if (c.device == DeviceKind::cuda && c.profile) {
    throw ConfigError("profile times the CPU's operations; leave it out where device is cuda.");
  }
  if (c.initial_learning_rate > c.learning_rate) {
    throw ConfigError("initial_learning_rate must be at most learning_rate, " +
                      to_toml(Value{c.learning_rate}) + ", not " + to_toml(Value{c.initial_learning_rate}) +
                      ".");
  }
  if (c.weight_decay > 0 && c.optimizer == OptimizerKind::adam) {
    throw ConfigError("weight_decay needs the optimizer adamw or sgd, since adam has no decoupled decay.");
  }
  require_whole_batches(c);
}

}  // namespace gopher
