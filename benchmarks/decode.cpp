// Decoding with a cache, one sequence: build/bin/benchmarks/decode [threads] [profile]. Weights are random;
// each new token reads all of them, so memory sets the speed. With `profile`, where the time of a token goes.
#include <cstdlib>
#include <iomanip>
#include <iostream>

#include <burrow/debug/measured_peaks.hpp>
#include <burrow/debug/profile.hpp>

#include "benchmarks/side_by_side.hpp"
#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/gopher.hpp"

namespace {

using namespace gopher;

template <class Policy>
void decode(const Preset& preset, const Peaks& peaks, bool profiled) {
  using Element = typename Policy::compute;
  constexpr Index prompt = 64, warm_up = 4, tokens = 48, profiled_tokens = 8;
  const auto model = build(RunTimeGopher<Policy>::make(preset.size), Key{0});
  auto caches = model.caches(prompt + warm_up + tokens + profiled_tokens);
  const auto ids = [&](Index count) {
    Tensor<std::int32_t, Shape<1, dyn>> result{Shape<1, dyn>{{1, count}}};
    for (auto& id : result.values()) id = static_cast<std::int32_t>(caches[0].length % 97);
    return result;
  };
  const double prompt_seconds = benchmarks::seconds([&] { model.next(ids(prompt), caches); });
  std::vector<double> times;
  for (Index i = 0; i < warm_up + tokens; ++i) {
    const auto next = ids(1);
    const double seconds = benchmarks::seconds([&] { model.next(next, caches); });
    if (i >= warm_up) times.push_back(seconds);
  }
  const double seconds = benchmarks::median(times);
  const double bytes = decode_bytes(preset.size, prompt + warm_up + tokens / 2, sizeof(Element));
  std::cout << std::setw(6) << preset.name << std::setw(7) << dtype_name<Element>() << std::fixed
            << std::setprecision(1) << std::setw(10) << 1e3 * seconds << " ms/token" << std::setw(8)
            << 1 / seconds << " tokens/s" << std::setw(8) << bytes / seconds / 1e9 << " GB/s" << std::setw(6)
            << std::setprecision(0) << 100 * bytes / seconds / peaks.read_bandwidth << "%   prompt of "
            << prompt << ": " << std::setprecision(1) << 1e3 * prompt_seconds << " ms\n";
  if (!profiled) return;
  const Profile profile{peaks};
  for (Index i = 0; i < profiled_tokens; ++i) model.next(ids(1), caches);
  std::cout << profile;
}

}  // namespace

int main(int count, char** arguments) {
  const bool profiled = count > 2;
  if (count > 1) burrow::set_threads(std::atoi(arguments[1]));
  const burrow::Peaks peaks = burrow::measured_peaks();
  std::cout << burrow::threads() << " thread(s), memory read at " << std::fixed << std::setprecision(1)
            << peaks.read_bandwidth / 1e9 << " GB/s\n";
  for (const Preset& preset : {gopher_44m, gopher_117m}) {
    decode<Float32<Cpu>>(preset, peaks, profiled);
    decode<Bf16<Cpu>>(preset, peaks, profiled);
  }
}
