// The Gopher family (arXiv 2112.11446, Table 1) with its training settings, and two small models of our own.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "gopher_model/model/configuration.hpp"
#include "gopher_model/model/nearest_name.hpp"

namespace gopher {

/// One model with the settings it is trained with.
struct Preset {
  std::string_view name;
  bool from_paper = false;  ///< false for the small sizes that this project adds
  ModelSize size;
  double learning_rate = 0;  ///< the maximum, after warm-up
  Index warmup_steps = 1500;
  double clip = 1;         ///< largest global norm of the gradient
  Index batch_tokens = 0;  ///< tokens of one optimizer step, at the start
  Index batch_factor = 1;  ///< by which the batch grows at half of the tokens
  Index tokens = 0;        ///< of the whole training
  Index micro_batch = 1;   ///< sequences computed at once; this project's choice
  Precision precision = Precision::float32;
};

/// A row of the paper's Table 1 with what its section 3 adds. The paper rounds the batch to 0.25M, 2M and
/// 3M -> 6M tokens; reading that as 128, 1024 and 1536 -> 3072 sequences of 2048, and the doubling as
/// happening at half of the tokens, is ours.
constexpr Preset table_1(std::string_view name, Index layers, Index heads, Index head_width, Index width,
                         double learning_rate, Index batch_sequences, Index batch_factor = 1) {
  constexpr Index vocabulary = 32000, context = 2048;
  const bool large = width >= 4096;
  return {.name = name,
          .from_paper = true,
          .size = {layers, width, heads, head_width, 4 * width, vocabulary, context},
          .learning_rate = learning_rate,
          .clip = large ? 0.25 : 1.0,
          .batch_tokens = batch_sequences * context,
          .batch_factor = batch_factor,
          .tokens = 300'000'000'000,
          .precision = large ? Precision::bf16_stochastic : Precision::mixed_bf16};
}

inline constexpr Preset gopher_44m = table_1("44M", 8, 16, 32, 512, 6e-4, 128);
inline constexpr Preset gopher_117m = table_1("117M", 12, 12, 64, 768, 6e-4, 128);
inline constexpr Preset gopher_417m = table_1("417M", 12, 12, 128, 1536, 2e-4, 128);
inline constexpr Preset gopher_1_4b = table_1("1.4B", 24, 16, 128, 2048, 2e-4, 128);
inline constexpr Preset gopher_7_1b = table_1("7.1B", 32, 32, 128, 4096, 1.2e-4, 1024);
inline constexpr Preset gopher_280b = table_1("280B", 80, 128, 128, 16384, 4e-5, 1536, 2);

/// This project's own: minutes on a laptop; about one million parameters beside the embedding.
inline constexpr Preset laptop_tiny{.name = "tiny",
                                    .size = {5, 128, 4, 32, 512, 2048, 256},
                                    .learning_rate = 2e-3,
                                    .warmup_steps = 100,
                                    .batch_tokens = 8192,
                                    .tokens = 8'192'000,
                                    .micro_batch = 8};

/// This project's own: hours on a laptop; about seven million parameters beside the embedding.
inline constexpr Preset laptop_small{.name = "small",
                                     .size = {8, 256, 8, 32, 1024, 8192, 512},
                                     .learning_rate = 1e-3,
                                     .warmup_steps = 200,
                                     .batch_tokens = 16384,
                                     .tokens = 163'840'000,
                                     .micro_batch = 4};

/// The paper's six models in order of size, then this project's small ones.
inline constexpr std::array<Preset, 8> presets{gopher_44m,  gopher_117m, gopher_417m, gopher_1_4b,
                                               gopher_7_1b, gopher_280b, laptop_tiny, laptop_small};

/// The names of `presets`, in the same order.
inline constexpr auto preset_names = [] {
  std::array<std::string_view, presets.size()> names{};
  for (std::size_t i = 0; i < presets.size(); ++i) names[i] = presets[i].name;
  return names;
}();

/// The preset called `name`, for example "280B"; a ConfigError that names the closest one otherwise.
/// In a constant expression an unknown name does not compile.
constexpr const Preset& preset(std::string_view name) {
  for (const Preset& candidate : presets) {
    if (candidate.name == name) return candidate;
  }
  throw ConfigError("there is no preset " + quoted_name(name) + ": the closest is " +
                    quoted_name(nearest_name(name, preset_names)) + ", and all of them are " +
                    listed(preset_names) + ".");
}

}  // namespace gopher
