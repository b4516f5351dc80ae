// What this machine can do at most, measured: matrix products and memory. Not part of burrow.hpp.
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>

#include <burrow/debug/peaks.hpp>
#include <burrow/ops/matmul/cpu.hpp>

namespace burrow {

namespace detail {

/// Seconds of the fastest of some calls, and the time of all threads in that one.
struct Fastest {
  double wall = 0, cpu = 0;
};

inline double process_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Calls f, until `window` seconds have not made it faster, for `longest` seconds at most.
template <class F>
Fastest fastest(double window, double longest, const F& f) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  const auto start = Clock::now();
  Fastest best;
  for (double improved = 0; best.wall == 0 || (since(start) < improved + window && since(start) < longest);) {
    const auto begin = Clock::now();
    const double cpu = process_seconds();
    f();
    const double wall = since(begin);
    if (best.wall == 0 || wall < 0.98 * best.wall) improved = since(start);
    if (best.wall == 0 || wall < best.wall) best = {wall, process_seconds() - cpu};
  }
  return best;
}

/// FLOPs a second of a product of square matrices that are large, but take no longer than 50 ms.
template <class T>
double product_peak(double window, double longest, double& cpu_share) {
  constexpr Index largest = 2048;
  const Buffer<Cpu> memory{3 * largest * largest * Index{sizeof(T)}};
  auto* const a = static_cast<T*>(memory.data());
  std::fill(a, a + 3 * largest * largest, T(0.5f));
  T* const b = a + largest * largest;
  T* const c = b + largest * largest;
  Index size = 256;
  const auto product = [&] { cpu::multiply<T>(size, size, size, 1, {a, size}, {b, size}, false, {c, size}); };
  for (product(); size < largest && fastest(0, 0, product).wall < 50e-3 / 8; size *= 2) {
  }
  const Fastest best = fastest(window, longest, product);
  cpu_share = std::min(1.0, best.cpu / (best.wall * threads()));
  const auto extent = static_cast<double>(size);
  return 2 * extent * extent * extent / best.wall;
}

/// Bytes of the last cache, or a guess.
inline Index last_cache_bytes() {
  long kib = 0;
  if (std::FILE* const file = std::fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r")) {
    if (std::fscanf(file, "%ld", &kib) != 1) kib = 0;
    std::fclose(file);
  }
  return kib > 0 ? std::min<Index>(Index{kib} << 10, Index{256} << 20) : Index{32} << 20;
}

inline void measure_memory(Peaks& peaks, double window, double longest) {
  using P = Packet<float>;
  constexpr Index grain = 1 << 10;  // in steps of eight packets
  const Index steps =
      4 * last_cache_bytes() / Index{3 * 8 * sizeof(P)};  // three arrays, four times the cache
  const Index count = steps * 8 * P::size;
  const Buffer<Cpu> memory{3 * count * Index{sizeof(float)}};
  auto* const a = static_cast<float*>(memory.data());
  float* const b = a + count;
  float* const c = b + count;
  parallel_for(3 * steps, grain, [&](Index begin, Index end) {
    std::fill(a + begin * 8 * P::size, a + end * 8 * P::size, 1.0f);
  });
  const double bytes = static_cast<double>(3 * count) * sizeof(float);
  const Fastest triad = fastest(window, longest, [&] {
    parallel_for(8 * steps, 8 * grain, [&](Index begin, Index end) {
      for (Index i = begin * P::size; i < end * P::size; i += P::size)
        fused_multiply_add(P(3.0f), P::load(c + i), P::load(b + i)).store(a + i);
    });
  });
  peaks.stream_bandwidth = bytes / triad.wall;
  std::atomic<float> sink = 0;  // or the loop would be left out
  const Fastest read = fastest(window, longest, [&] {
    parallel_for(3 * steps, grain, [&](Index begin, Index end) {
      P sum[8];
      for (P& s : sum) s = P(0.0f);
      for (Index i = begin; i < end; ++i)
        for (Index l = 0; l < 8; ++l) sum[l] = sum[l] + P::load(a + (i * 8 + l) * P::size);
      for (Index l = 1; l < 8; ++l) sum[0] = sum[0] + sum[l];
      sink.store(reduce_add(sum[0]), std::memory_order_relaxed);
    });
  });
  peaks.read_bandwidth = bytes / read.wall;
}

}  // namespace detail

/// Measures this machine: large products of float and bf16 matrices, then memory, each for a share of
/// `seconds`, and until it no longer becomes faster, for three times as long at most.
inline Peaks measured_peaks(double seconds = 0.4) {
  Peaks peaks;
  double ignored = 0;
  const double part = seconds / 6;
  peaks.float_flops = detail::product_peak<float>(2 * part, 6 * part, peaks.cpu_share);
  peaks.bf16_flops = detail::product_peak<bf16>(2 * part, 6 * part, ignored);
  detail::measure_memory(peaks, part, 3 * part);
  return peaks;
}

}  // namespace burrow
