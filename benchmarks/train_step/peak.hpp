// What the processor's arithmetic can do at most: products and sums that stay in registers.
#pragma once

#include <algorithm>
#include <chrono>

#include <burrow/core/amx.hpp>
#include <burrow/core/packet.hpp>
#include <burrow/core/parallel.hpp>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace benchmarks {

// Keeps a vector in a register and its value unknown to the compiler.
template <class V>
void keep(V& value) {
#if defined(__x86_64__)
  asm volatile("" : "+x"(value));
#else
  asm volatile("" : "+m"(value));
#endif
}

/// The most floating-point operations per second in several rounds of `rounds(count)`, a loop of `count`
/// iterations of `operations` each, on every thread.
template <class Loop>
double peak_flops(double operations, const Loop& loop) {
  constexpr int count = 2'000'000;
  const int threads = burrow::threads();
  double best = 0;
  for (int round = 0; round < 15; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    burrow::parallel_tasks(threads, [&](burrow::Index) { loop(count); });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    best = std::max(best, operations * count * threads / seconds);
  }
  return best;
}

/// Calls step(sum) `count` times for each of as many sums as hide the latency; each keeps its register.
template <class V, class Step>
void in_chains(int count, const Step& step) {
  V a{}, b{}, c{}, d{}, e{}, f{}, g{}, h{}, i{}, j{};
  for (int n = 0; n < count; ++n) {
    step(a), step(b), step(c), step(d), step(e);
    step(f), step(g), step(h), step(i), step(j);
  }
}
inline constexpr int chains = 10;

/// fp32 multiply-adds of whole vectors; a multiply-add counts as two operations.
inline double peak_float32() {
  using V = burrow::detail::native_vector<float>;
  return peak_flops(2.0 * burrow::detail::native_lanes<float>() * chains, [](int count) {
    V factor{};
    keep(factor);
    in_chains<V>(count, [&](V& sum) {
      sum = Eigen::internal::pmadd(factor, factor, sum);
      keep(sum);
    });
  });
}

#ifdef BURROW_WITH_AMX
/// Products of bf16 added to fp32 sums in four tiles of the matrix unit.
inline double peak_amx() {
  return peak_flops(2.0 * 4 * 16 * 16 * 32, [](int count) {
    const burrow::cpu::detail::AmxTiles tiles;
    for (int n = 0; n < count; ++n) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  });
}
#endif

/// Products of bf16 values added to fp32 sums, in tiles or in pairs where the processor has them, else
/// `peak_float32`.
inline double peak_bf16() {
#ifdef BURROW_WITH_AMX
  if (burrow::cpu::detail::amx_permitted()) return peak_amx();
#endif
#if defined(__AVX512BF16__)
  return peak_flops(2.0 * 32 * chains, [](int count) {
    __m512i bits = _mm512_setzero_si512();
    keep(bits);
    const auto factor = (__m512bh)bits;
    in_chains<__m512>(count, [&](__m512& sum) {
      sum = _mm512_dpbf16_ps(sum, factor, factor);
      keep(sum);
    });
  });
#else
  return peak_float32();
#endif
}

}  // namespace benchmarks
