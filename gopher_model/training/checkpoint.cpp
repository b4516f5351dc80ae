#include "gopher_model/training/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>

namespace gopher {
namespace {

using Metadata = std::map<std::string, std::string>;

constexpr std::string_view format = "gopher-1";

struct Counter {
  std::string_view name;
  Index TrainingState::*member;
};
constexpr std::array<Counter, 5> counters{{{"step", &TrainingState::step},
                                           {"tokens", &TrainingState::tokens},
                                           {"sample", &TrainingState::sample},
                                           {"total_steps", &TrainingState::total_steps},
                                           {"skipped", &TrainingState::skipped}}};

struct Checksum {
  std::string_view name;
  std::uint64_t RunIdentity::*member;
};
constexpr std::array<Checksum, 2> checksums{
    {{"tokenizer_checksum", &RunIdentity::tokenizer}, {"text_checksum", &RunIdentity::text}}};

const std::string& text_of(const burrow::SafetensorsFile& file, std::string_view key) {
  const auto found = file.metadata().find(std::string(key));
  if (found == file.metadata().end())
    throw burrow::IoError(file.path().string() + ": not a Gopher checkpoint: its metadata have no '" +
                          std::string(key) + "'");
  return found->second;
}

template <class Number>
Number number_of(const burrow::SafetensorsFile& file, std::string_view key) {
  const std::string& text = text_of(file, key);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool in_range = value >= Number{0} && value <= std::numeric_limits<Number>::max();  // no NaN
  if (error != std::errc{} || end != text.data() + text.size() || !in_range)
    throw burrow::IoError(file.path().string() + ": metadata '" + std::string(key) +
                          "' is not a number: " + text);
  return value;
}

}  // namespace

Metadata checkpoint_metadata(const ModelSize& size, Precision precision, const TrainingState& state,
                             const RunIdentity& identity) {
  Metadata metadata{{"format", std::string(format)}, {"precision", std::string(name_of(precision))}};
  for (const ModelExtent& extent : model_extents)
    metadata[std::string(extent.name)] = std::to_string(size.*extent.member);
  for (const Counter& counter : counters)
    metadata[std::string(counter.name)] = std::to_string(state.*counter.member);
  for (const Checksum& checksum : checksums)
    metadata[std::string(checksum.name)] = std::to_string(identity.*checksum.member);
  metadata["seed"] = std::to_string(identity.seed);
  metadata["elapsed"] = std::to_string(state.elapsed);
  return metadata;
}

CheckpointDescription describe_checkpoint(const burrow::SafetensorsFile& file) {
  if (text_of(file, "format") != format)
    throw burrow::IoError(file.path().string() + ": a checkpoint of format '" + text_of(file, "format") +
                          "', not '" + std::string(format) + "'");
  CheckpointDescription description;
  for (const ModelExtent& extent : model_extents)
    description.size.*extent.member = number_of<Index>(file, extent.name);
  for (const Counter& counter : counters)
    description.state.*counter.member = number_of<Index>(file, counter.name);
  for (const Checksum& checksum : checksums)
    description.identity.*checksum.member = number_of<std::uint64_t>(file, checksum.name);
  description.identity.seed = number_of<Index>(file, "seed");
  description.state.elapsed = number_of<double>(file, "elapsed");
  const auto* const name =
      std::find(precision_names.begin(), precision_names.end(), text_of(file, "precision"));
  if (name == precision_names.end())
    throw burrow::IoError(file.path().string() + ": unknown precision '" + text_of(file, "precision") + "'");
  description.precision = static_cast<Precision>(name - precision_names.begin());
  try {
    validate(description.size);
  } catch (const ConfigError& error) {
    throw burrow::IoError(file.path().string() + ": " + error.what());
  }
  return description;
}

}  // namespace gopher
