// What the benchmarks of training steps are asked for: a model, its batch, and how it is computed.
#pragma once

#include <array>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include <burrow/nn/rematerialization.hpp>

#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/presets.hpp"

namespace benchmarks {

struct KnownModel {
  std::string_view name;
  bool gopher;  // else GPT-2
  gopher::ModelSize size;
};

inline constexpr std::array models{
    KnownModel{"gopher-tiny", true, gopher::laptop_tiny.size},
    KnownModel{"gopher-44m", true, gopher::gopher_44m.size},
    KnownModel{"gopher-117m", true, gopher::gopher_117m.size},
    KnownModel{"gopher-417m", true, gopher::gopher_417m.size},
    KnownModel{"gopher-1.4b", true, gopher::gopher_1_4b.size},
    KnownModel{"gpt2-44m", false, gopher::gopher_44m.size},
    KnownModel{"gpt2-124m", false, {12, 768, 12, 64, 3072, 50257, 1024}},
};

struct Options {
  KnownModel model = models[1];
  bool given = false;  // the model
  burrow::Index context = 0, batch = 1;
  int threads = 2, steps = 7;
  bool bf16 = false, json = false, profile = false;
  burrow::Rematerialization rematerialize{};
};

[[noreturn]] inline void fail(const std::string& sentence) {
  std::cerr << "train_step: " << sentence << "\nmodels:";
  for (const KnownModel& model : models) std::cerr << ' ' << model.name;
  std::cerr << '\n';
  std::exit(2);
}

inline KnownModel model_named(std::string_view name) {
  for (const KnownModel& model : models)
    if (model.name == name) return model;
  fail("there is no model " + std::string(name));
}

inline bool is_bf16(std::string_view precision) {
  if (precision != "fp32" && precision != "bf16") fail("--precision is fp32 or bf16");
  return precision == "bf16";
}

inline burrow::Rematerialization rematerialization_named(std::string_view text) {
  try {
    return burrow::parse_rematerialization(text);
  } catch (const burrow::ConfigError& error) {
    fail(error.what());
  }
}

/// Reads a command line; what it does not say is as in `options`. Ends the program where it means nothing.
inline Options parse(int count, char** arguments, Options options = {}) {
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    const auto value = [&] {
      if (i + 1 == count) fail(std::string(name) + " needs a value");
      return std::string_view(arguments[++i]);
    };
    const auto number = [&] {
      const int result = std::atoi(value().data());
      if (result < 1) fail(std::string(name) + " needs a number above 0");
      return result;
    };
    if (name == "--context")
      options.context = number();
    else if (name == "--batch")
      options.batch = number();
    else if (name == "--threads")
      options.threads = number();
    else if (name == "--steps")
      options.steps = number();
    else if (name == "--precision")
      options.bf16 = is_bf16(value());
    else if (name == "--rematerialize")
      options.rematerialize = rematerialization_named(value());
    else if (name == "--json")
      options.json = true;
    else if (name == "--profile")
      options.profile = true;
    else if (name.starts_with("-"))
      fail("what is " + std::string(name) + "?");
    else
      options.model = model_named(name), options.given = true;
  }
  if (options.context > 0) options.model.size.context = options.context;
  return options;
}

/// Of the model, as accounting.hpp counts them; plain attention has two products where relative positions
/// have three.
inline double flops_per_token(const KnownModel& model) {
  const double all = gopher::model_flops_per_token(model.size);
  if (model.gopher) return all;
  const auto& size = model.size;
  return all - 3 * static_cast<double>(size.context * size.attention_width() * size.layers);
}

}  // namespace benchmarks
