// A kernel that calls a functor for each index, and divisions that cost a GPU little.
#pragma once

#include <cstdint>

#include <burrow/core/cuda.cuh>

namespace burrow::detail {

/// A quotient and its rest.
struct Division {
  Index quotient, rest;
};

/// a / b for numbers that are not negative: in 32 bits where both fit, for 64 take a GPU ten times as long.
constexpr Division divide(Index a, Index b) {
  if (((a | b) >> 32) == 0) {
    const auto n = static_cast<std::uint32_t>(a), d = static_cast<std::uint32_t>(b);
    return {static_cast<Index>(n / d), static_cast<Index>(n % d)};
  }
  return {a / b, a % b};
}

template <class Body>
__global__ void for_each_kernel(Index count, Body body) {
  const Index step = Index{gridDim.x} * blockDim.x;
  for (Index i = Index{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) body(i);
}

/// body(i) for each i in [0, count) on the device, in any order. The body is copied there: a struct with a
/// __device__ or constexpr call operator.
template <class Body>
void for_each_index(const char* name, Index count, const Body& body) {
  if (count <= 0) return;
  cuda::launch(name, &for_each_kernel<Body>,
               cuda::striding_grid(count, cuda::Context::instance().multiprocessors()), count, body);
}

}  // namespace burrow::detail
