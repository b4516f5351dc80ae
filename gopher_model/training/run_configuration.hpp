// Everything that `gopher train` can be told, as plain data with defaults for a laptop.
// One table (run_fields.hpp) drives its TOML files, its command line and its help.
#pragma once

#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/presets.hpp"
#include "gopher_model/training/device.hpp"
#include "gopher_model/training/setting_rules.hpp"

namespace gopher {

enum class OptimizerKind { adam, adamw, sgd };
inline constexpr std::array<std::string_view, 3> optimizer_names{"adam", "adamw", "sgd"};
/// "adam", "adamw", "sgd".
constexpr std::string_view name_of(OptimizerKind optimizer) {
  return optimizer_names[static_cast<std::size_t>(optimizer)];
}

/// One training run. The meaning and the range of each member stand in run_fields.cpp.
struct RunConfiguration {
  std::vector<std::string> data;
  std::string tokenizer;

  std::string preset{laptop_tiny.name};
  ModelSize size = laptop_tiny.size;

  Index steps = 0;
  Index tokens = laptop_tiny.tokens;
  double time_limit = 0;
  Index batch_tokens = laptop_tiny.batch_tokens;
  std::string batch_ramp;
  Index micro_batch = laptop_tiny.micro_batch;
  Precision precision = laptop_tiny.precision;
  std::string rematerialize = "selective";
  Index seed = 0;

  OptimizerKind optimizer = OptimizerKind::adam;
  double learning_rate = laptop_tiny.learning_rate;
  double final_learning_rate_fraction = 0.1;
  Index warmup_steps = laptop_tiny.warmup_steps;
  double initial_learning_rate = 1e-7;
  double clip = laptop_tiny.clip;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0;

  Index evaluate_every = 250;
  Index evaluate_tokens = 65536;
  std::vector<std::string> sample_prompts;
  Index sample_count = 1;
  Index sample_tokens = 64;

  std::string run = "runs/gopher";
  bool resume = false;
  Index checkpoint_every = 500;
  bool asynchronous_checkpoints = true;
  Index keep = 2;
  Index log_every = 10;
  bool profile = false;
  Index profile_steps = 3;

  std::string mesh;
  Index chunks = 1;
  bool sequence_parallel = false;
  Index zero = 1;
  Index threads = 0;
  DeviceKind device = DeviceKind::cpu;

  friend bool operator==(const RunConfiguration&, const RunConfiguration&) = default;
};

/// The file in a run's directory that holds its effective configuration.
inline constexpr std::string_view configuration_file_name = "configuration.toml";

struct Field;

/// One key with its value, and where it was written ("run.toml:4" or "--steps"), for messages.
struct Setting {
  const Field* field;
  Value value;
  std::string where;
};

/// Bytes of the parameters, and of what the optimizer keeps for each of them.
StateBytes state_bytes(const RunConfiguration& configuration);

/// Whether checkpoints on the way are written from a copy, beside training.
bool copies_checkpoints(const RunConfiguration& configuration);

/// Replaces the model, batch, learning rate, clipping, precision and length of `configuration` by the
/// preset's.
void apply_preset(RunConfiguration& configuration, const Preset& preset);

/// The configuration that a file and a command line ask for together. Defaults are overridden by the preset
/// (the command line's if it names one), that by the file, that by the command line. Throws ConfigError if
/// the command line's preset contradicts the model that the file describes.
RunConfiguration resolve(std::span<const Setting> file, std::span<const Setting> command_line);

/// The settings of a TOML text; `source` is its name in messages. Keys are those of run_fields.hpp, spelt
/// with underscores, each within the table of its group. Throws ConfigError "<source>:<line>: ..." for text
/// that is not TOML, unknown or misplaced keys, wrong types and values out of range.
std::vector<Setting> read_settings(std::string_view text, std::string_view source);

/// The settings of a TOML file. Throws IoError if it cannot be read, ConfigError as above.
std::vector<Setting> read_settings(const std::filesystem::path& path);

/// The configuration of a TOML text: resolve(read_settings(text, source), {}).
RunConfiguration load_toml(std::string_view text, std::string_view source = "configuration");

/// Every setting as a commented TOML text; load_toml gives back an equal configuration.
std::string to_toml(const RunConfiguration& configuration);

/// Throws ConfigError unless a run can start with `configuration`: the settings must fit each other.
void validate(const RunConfiguration& configuration);

}  // namespace gopher
