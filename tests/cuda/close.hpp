// Comparison of what a device computed with what the CPU did.
#pragma once

#include <cmath>
#include <limits>

#include <burrow/tensor/tensor.hpp>

namespace burrow {

/// By how much bf16 results may differ that a GPU rounds once where the CPU rounds twice; not at all in the
/// emulator.
#if defined(BURROW_CUDA_EMULATED)
inline constexpr double one_rounding = 0;
#else
inline constexpr double one_rounding = 1e-2;
#endif

/// The largest difference of two tensors' elements, relative to the largest element; infinite where one is
/// NaN and the other is not.
template <class A, class B>
double distance(const A& a, const B& b) {
  const auto x = to<Cpu>(a);
  const auto y = to<Cpu>(b);
  double largest = 1e-30, difference = 0;
  for (Index i = 0; i < x.size(); ++i) {
    const auto u = static_cast<double>(x.data()[i]), v = static_cast<double>(y.data()[i]);
    if (std::isnan(u) || std::isnan(v)) {
      if (std::isnan(u) != std::isnan(v)) return std::numeric_limits<double>::infinity();
      continue;
    }
    largest = std::max({largest, std::abs(u), std::abs(v)});
    difference = std::max(difference, std::abs(u - v));
  }
  return difference / largest;
}

}  // namespace burrow
