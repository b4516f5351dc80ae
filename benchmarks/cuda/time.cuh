// Times of work on the device.
#pragma once

#include <algorithm>

#include <burrow/core/cuda.cuh>

namespace benchmarks {

/// Milliseconds of one call, the least of several, by the device's clock.
template <class F>
float milliseconds(const F& f) {
  cudaEvent_t begin = nullptr, end = nullptr;
  burrow::cuda::check(cudaEventCreate(&begin), "an event");
  burrow::cuda::check(cudaEventCreate(&end), "an event");
  const cudaStream_t stream = burrow::cuda::Context::instance().stream();
  float least = 1e30f;
  f();
  for (int round = 0; round < 10; ++round) {
    burrow::cuda::check(cudaEventRecord(begin, stream), "an event");
    f();
    burrow::cuda::check(cudaEventRecord(end, stream), "an event");
    burrow::cuda::check(cudaEventSynchronize(end), "an event");
    float taken = 0;
    burrow::cuda::check(cudaEventElapsedTime(&taken, begin, end), "an event");
    least = std::min(least, taken);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return least;
}

}  // namespace benchmarks
