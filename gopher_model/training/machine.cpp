#include "gopher_model/training/machine.hpp"

#include <sys/utsname.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include <burrow/core/memory.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/io/file.hpp>
#include <burrow/ops/matmul/cpu.hpp>

#include "gopher_model/model/quantities.hpp"

namespace gopher {
namespace {

using burrow::Index;
using Clock = std::chrono::steady_clock;

// The value of the first line "model name : ..." of Linux's list of processors.
std::string cpu_name() {
  std::ifstream list{"/proc/cpuinfo"};
  for (std::string line; std::getline(list, line);) {
    const auto colon = line.find(':');
    if (!line.starts_with("model name") || colon == line.npos) continue;
    const auto begin = line.find_first_not_of(" \t", colon + 1);
    if (begin != line.npos) return line.substr(begin);
  }
  utsname system{};
  return ::uname(&system) == 0 ? std::string{system.machine} + " processor" : "unknown";
}

struct Simd {
  std::string_view name;
  bool compiled;   // this build uses it
  bool available;  // this processor has it
};

// Widest first.
auto simd_sets() {
#if defined(__x86_64__)
#ifdef __AVX512F__
  constexpr bool avx512 = true;
#else
  constexpr bool avx512 = false;
#endif
#ifdef __AVX2__
  constexpr bool avx2 = true;
#else
  constexpr bool avx2 = false;
#endif
#ifdef __AVX__
  constexpr bool avx = true;
#else
  constexpr bool avx = false;
#endif
  return std::array{Simd{"AVX-512", avx512, __builtin_cpu_supports("avx512f") != 0},
                    Simd{"AVX2", avx2, __builtin_cpu_supports("avx2") != 0},
                    Simd{"AVX", avx, __builtin_cpu_supports("avx") != 0}, Simd{"SSE2", true, true}};
#elif defined(__ARM_NEON)
  return std::array{Simd{"NEON", true, true}};
#else
  return std::array{Simd{"none", true, true}};
#endif
}

// "AVX-512", or "SSE2 (the processor has AVX2; build with BURROW_NATIVE=ON to use it)".
std::string simd_name() {
  const auto sets = simd_sets();
  const auto used = std::find_if(sets.begin(), sets.end(), [](const Simd& set) { return set.compiled; });
  const auto widest = std::find_if(sets.begin(), sets.end(), [](const Simd& set) { return set.available; });
  std::string text{used->name};
  if (widest < used) {
    text +=
        " (the processor has " + std::string{widest->name} + ", which a build for this machine would use)";
  }
  return text;
}

struct Seconds {
  double wall, cpu;  // cpu: of all threads together
};

double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

Seconds time_product(Index size, const float* a, const float* b, float* c) {
  const auto start = Clock::now();
  const double cpu_start = cpu_seconds();
  burrow::cpu::multiply<float>(size, size, size, 1.0f, {a, size}, {b, size}, false, {c, size});
  return {std::chrono::duration<double>(Clock::now() - start).count(), cpu_seconds() - cpu_start};
}

// The fastest of products of one size, repeated until they no longer become faster.
Seconds fastest_product(Index size, const float* a, const float* b, float* c) {
  constexpr double window = 0.5, longest = 3;
  const auto start = Clock::now();
  const auto since = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  Seconds best = time_product(size, a, b, c);
  for (double improved = 0; since() < improved + window && since() < longest;) {
    const Seconds seconds = time_product(size, a, b, c);
    if (seconds.wall < 0.98 * best.wall) improved = since();
    if (seconds.wall < best.wall) best = seconds;
  }
  return best;
}

// The larger product is nearer to the peak; a slow machine would spend too long on it.
void measure_peak(MachineReport& report) {
  constexpr Index smaller = 1024, larger = 2048;
  const burrow::Buffer<burrow::Cpu> memory{3 * larger * larger * Index{sizeof(float)}};
  auto* const a = static_cast<float*>(memory.data());
  std::fill(a, a + 3 * larger * larger, 0.5f);
  float* const b = a + larger * larger;
  float* const c = b + larger * larger;

  time_product(smaller, a, b, c);  // wakes the threads
  const Index size = time_product(smaller, a, b, c).wall < 0.02 ? larger : smaller;
  const Seconds best = fastest_product(size, a, b, c);
  const auto extent = static_cast<double>(size);
  const double peak = 2 * extent * extent * extent / best.wall;
  if (peak <= report.peak_flops_per_second) return;
  report.peak_flops_per_second = peak;
  report.cpu_share = std::min(1.0, best.cpu / (best.wall * report.threads));
}

// Below this share of the processor's time, a measurement is more of the others' programs than of the
// machine.
constexpr double least_share = 0.7;

using Json = nlohmann::ordered_json;

Json machine_of(const MachineReport& report) {
  return {
      {"cpu", report.cpu}, {"simd", report.simd}, {"threads", report.threads}, {"backend", report.backend}};
}

// Takes the peak from the text of a file if it is of the same machine; true if it is good enough.
bool take_peak(const std::string& text, MachineReport& report) {
  const Json file = Json::parse(text, nullptr, false);
  if (!file.is_object() || file.value("machine", Json{}) != machine_of(report)) return false;
  const Json peak = file.value("peak_flops_per_second", Json{}), share = file.value("cpu_share", Json{});
  if (!peak.is_number() || !share.is_number() || !(peak.get<double>() > 0)) return false;
  report.peak_flops_per_second = peak.get<double>();
  report.cpu_share = share.get<double>();
  return report.cpu_share >= least_share;
}

}  // namespace

MachineReport machine_report() {
  MachineReport report;
  report.cpu = cpu_name();
  report.simd = simd_name();
  report.threads = burrow::threads();
  report.backend = burrow::cpu::matmul_backend();
  return report;
}

MachineReport measured_machine() {
  MachineReport report = machine_report();
  measure_peak(report);
  return report;
}

MachineReport measured_machine(const std::filesystem::path& path) {
  MachineReport report = machine_report();
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && take_peak(burrow::read_text(path), report)) return report;
  measure_peak(report);
  const Json file{{"machine", machine_of(report)},
                  {"peak_flops_per_second", report.peak_flops_per_second},
                  {"cpu_share", report.cpu_share}};
  burrow::write_atomically(path, file.dump(2) + "\n");
  return report;
}

std::string description(const MachineReport& report) {
  std::string text = report.cpu + ", " + std::to_string(report.threads) + " threads, matrix products by " +
                     report.backend + " at " + formatted("%.0f", report.peak_flops_per_second / 1e9) +
                     " GFLOP/s, the fastest of those measured (util is the share of it)";
  if (report.cpu_share < least_share)
    text += "; other programs took " + formatted("%.0f", 100 * (1 - report.cpu_share)) +
            "% of the time, so the machine is faster than that and util too high";
  return text;
}

}  // namespace gopher
