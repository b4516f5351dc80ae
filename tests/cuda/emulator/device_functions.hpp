// The functions that kernels call, for fibers on the host.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>

#include "tests/cuda/emulator/block.hpp"

inline void __syncthreads() { emulator::Block::current().wait(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulator::Block::current().wait_lanes(mask); }
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace emulator {
/// The value of the lane that pick(lane in its group of `width`, width) names within the group, or the own
/// one where it names none.
template <class T, class Pick>
T shuffle(unsigned mask, T value, int width, const Pick& pick) {
  Block& block = Block::current();
  const int lane = static_cast<int>(block.lane()), first = lane / width * width;
  const int from = pick(lane - first);
  const int source = from < 0 || from >= width ? lane : first + from;
  return block.exchange(mask, value, [&](const auto& show) { return *show(static_cast<unsigned>(source)); });
}
}  // namespace emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return emulator::shuffle(mask, value, width, [&](int) { return ((source % width) + width) % width; });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  return emulator::shuffle(mask, value, width, [&](int lane) { return lane ^ bits; });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32) {
  return emulator::shuffle(mask, value, width, [&](int lane) { return lane + static_cast<int>(distance); });
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32) {
  return emulator::shuffle(mask, value, width, [&](int lane) { return lane - static_cast<int>(distance); });
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return emulator::Block::current().exchange(mask, predicate, [&](const auto& show) {
    unsigned result = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
      if ((mask >> lane & 1u) != 0 && show(lane) != nullptr && *show(lane) != 0) result |= 1u << lane;
    return result;
  });
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }

/// Integers only: sums of floating-point numbers would depend on the order of threads.
inline int atomicAdd(int* to, int value) { return std::exchange(*to, *to + value); }
inline unsigned atomicAdd(unsigned* to, unsigned value) { return std::exchange(*to, *to + value); }
inline int atomicMax(int* to, int value) { return std::exchange(*to, std::max(*to, value)); }

template <class T>
T __ldg(const T* from) {
  return *from;
}
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
