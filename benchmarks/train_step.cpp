// Full training steps (forward, backward, clipping, AdamW) of language models on random tokens:
// build/bin/benchmarks/train_step [MODEL] [--context N] [--precision fp32|bf16] [--batch N] [--threads N]
// [--steps N] [--rematerialize] [--json | --profile]. Speed is the median of the steps after two to warm up;
// the peak that it is a share of is measured in the same run. --profile adds where the time of these steps
// went.
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <burrow/core/memory.hpp>
#include <burrow/debug/profile.hpp>

#include "benchmarks/side_by_side.hpp"
#include "benchmarks/train_step/peak.hpp"
#include "benchmarks/train_step/step.hpp"
#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/presets.hpp"

namespace {

using burrow::Index;

struct KnownModel {
  std::string_view name;
  bool gopher;  // else GPT-2
  gopher::ModelSize size;
};

constexpr std::array models{
    KnownModel{"gopher-tiny", true, gopher::laptop_tiny.size},
    KnownModel{"gopher-44m", true, gopher::gopher_44m.size},
    KnownModel{"gopher-117m", true, gopher::gopher_117m.size},
    KnownModel{"gpt2-44m", false, gopher::gopher_44m.size},
    KnownModel{"gpt2-124m", false, {12, 768, 12, 64, 3072, 50257, 1024}},
};

struct Options {
  KnownModel model = models[1];
  Index context = 0, batch = 1;
  int threads = 2, steps = 7;
  bool bf16 = false, rematerialize = false, json = false, profile = false;
};

[[noreturn]] void fail(const std::string& sentence) {
  std::cerr << "train_step: " << sentence << "\nmodels:";
  for (const KnownModel& model : models) std::cerr << ' ' << model.name;
  std::cerr << '\n';
  std::exit(2);
}

KnownModel model_named(std::string_view name) {
  for (const KnownModel& model : models)
    if (model.name == name) return model;
  fail("there is no model " + std::string(name));
}

bool is_bf16(std::string_view precision) {
  if (precision != "fp32" && precision != "bf16") fail("--precision is fp32 or bf16");
  return precision == "bf16";
}

Options parse(int count, char** arguments) {
  Options options;
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
      options.rematerialize = true;
    else if (name == "--json")
      options.json = true;
    else if (name == "--profile")
      options.profile = true;
    else if (name.starts_with("-"))
      fail("what is " + std::string(name) + "?");
    else
      options.model = model_named(name);
  }
  if (options.context > 0) options.model.size.context = options.context;
  return options;
}

auto make_step(const Options& options) {
  using namespace benchmarks;
  const auto make = options.model.gopher ? (options.bf16 ? gopher_mixed_bf16 : gopher_float32)
                                         : (options.bf16 ? gpt2_mixed_bf16 : gpt2_float32);
  return make(options.model.size, options.batch, options.rematerialize);
}

// As accounting.hpp counts them; plain attention has two products where relative positions have three.
double flops_per_token(const KnownModel& model) {
  const double all = gopher::model_flops_per_token(model.size);
  if (model.gopher) return all;
  const auto& size = model.size;
  return all - 3 * static_cast<double>(size.context * size.attention_width() * size.layers);
}

double peak_resident_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

void print_json(double tokens_per_second, double flops, double peak, double loss) {
  std::cout << "{\"tokens_per_second\": " << tokens_per_second << ", \"flops_per_second\": " << flops
            << ", \"peak_flops_per_second\": " << peak << ", \"peak_mib\": " << peak_resident_mib()
            << ", \"loss\": " << loss << "}\n";
}

void print_text(const Options& options, double tokens_per_second, double flops, double peak, double loss) {
  const auto memory = burrow::memory_statistics();
  const auto mib = [](Index bytes) { return static_cast<double>(bytes) / (1 << 20); };
  std::cout << options.model.name << ", context " << options.model.size.context << ", batch " << options.batch
            << ", " << (options.bf16 ? "bf16" : "fp32") << ", " << burrow::threads() << " thread(s)\n"
            << std::fixed << std::setprecision(1) << tokens_per_second << " tokens/s, " << flops / 1e9
            << " GFLOP/s, " << 100 * flops / peak << "% of " << peak / 1e9 << "\npeak memory "
            << peak_resident_mib() << " MiB: pool " << mib(memory.bytes_from_system) << " in "
            << memory.system_allocations << " blocks, in use at most " << mib(memory.peak_bytes_in_use)
            << "\nloss " << std::setprecision(4) << loss << '\n';
}

}  // namespace

int main(int count, char** arguments) {
  const Options options = parse(count, arguments);
  burrow::set_threads(options.threads);
  const auto measure_peak = options.bf16 ? benchmarks::peak_bf16 : benchmarks::peak_float32;
  const double peak_before = std::max(measure_peak(), measure_peak());  // others may disturb one
  const auto step = make_step(options);
  constexpr int warm_up = 2;
  std::vector<double> times;
  std::optional<burrow::Profile> profile;
  double loss = 0;
  for (int i = 0; i < warm_up + options.steps; ++i) {
    if (options.profile && i == warm_up)
      profile.emplace(options.bf16 ? burrow::Peaks{.bf16_flops = peak_before}
                                   : burrow::Peaks{.float_flops = peak_before});
    const double seconds = benchmarks::seconds([&] { loss = step->run(); });
    if (i >= warm_up) times.push_back(seconds);
  }
  const double peak = std::max(peak_before, measure_peak());
  const double tokens = static_cast<double>(options.batch * options.model.size.context);
  const double tokens_per_second = tokens / benchmarks::median(times);
  const double flops = tokens_per_second * flops_per_token(options.model);
  if (options.json)
    print_json(tokens_per_second, flops, peak, loss);
  else
    print_text(options, tokens_per_second, flops, peak, loss);
  if (profile) std::cout << *profile;
}
