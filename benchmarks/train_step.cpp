// Full training steps (forward, backward, clipping, AdamW) of language models on random tokens:
// build/bin/benchmarks/train_step [MODEL] [--context N] [--precision fp32|bf16] [--batch N] [--threads N]
// [--steps N] [--rematerialize WHAT] [--json | --profile]. Speed is the median of the steps after two to warm
// up; the peak that it is a share of is measured in the same run. --profile adds where the time of these
// steps went.
#include <sys/resource.h>

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <optional>
#include <vector>

#include <burrow/core/memory.hpp>
#include <burrow/debug/profile.hpp>

#include "benchmarks/side_by_side.hpp"
#include "benchmarks/train_step/options.hpp"
#include "benchmarks/train_step/peak.hpp"
#include "benchmarks/train_step/step.hpp"

namespace {

using benchmarks::Options;
using burrow::Index;

auto make_step(const Options& options) {
  using namespace benchmarks;
  const auto make = options.model.gopher ? (options.bf16 ? gopher_mixed_bf16 : gopher_float32)
                                         : (options.bf16 ? gpt2_mixed_bf16 : gpt2_float32);
  return make(options.model.size, options.batch, options.rematerialize);
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
  const Options options = benchmarks::parse(count, arguments);
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
  const double flops = tokens_per_second * benchmarks::flops_per_token(options.model);
  if (options.json)
    print_json(tokens_per_second, flops, peak, loss);
  else
    print_text(options, tokens_per_second, flops, peak, loss);
  if (profile) std::cout << *profile;
}
