#include "gopher_model/training/machine.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <string_view>
#include <utility>

#include <burrow/core/memory.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/ops/matmul/cpu.hpp>

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

double seconds_of_product(Index size, const float* a, const float* b, float* c) {
  const auto start = Clock::now();
  burrow::cpu::multiply<float>(size, size, size, 1.0f, {a, size}, {b, size}, false, {c, size});
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The larger product is nearer to the peak; a slow machine would spend too long on it.
double measured_peak() {
  constexpr Index smaller = 1024, larger = 2048;
  constexpr double time = 0.5;
  constexpr int at_least = 4;
  const burrow::Buffer<burrow::Cpu> memory{3 * larger * larger * Index{sizeof(float)}};
  auto* const a = static_cast<float*>(memory.data());
  std::fill(a, a + 3 * larger * larger, 0.5f);
  float* const b = a + larger * larger;
  float* const c = b + larger * larger;

  const auto start = Clock::now();
  seconds_of_product(smaller, a, b, c);  // wakes the threads
  const bool fast = seconds_of_product(smaller, a, b, c) * 8 * at_least < time;
  const Index size = fast ? larger : smaller;
  double best = seconds_of_product(size, a, b, c);
  while (std::chrono::duration<double>(Clock::now() - start).count() < time) {
    best = std::min(best, seconds_of_product(size, a, b, c));
  }
  const auto extent = static_cast<double>(size);
  return 2 * extent * extent * extent / best;
}

}  // namespace

MachineReport machine_report(bool measure_peak) {
  return {cpu_name(), simd_name(), burrow::threads(), burrow::cpu::matmul_backend(),
          measure_peak ? measured_peak() : 0.0};
}

}  // namespace gopher
