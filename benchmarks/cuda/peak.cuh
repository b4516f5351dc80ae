// What a GPU's tensor cores can do at most.
#pragma once

#include <string>

#include <burrow/core/cuda.cuh>

namespace benchmarks {

/// Operations (products and sums) of dense bf16 that one multiprocessor does in a cycle with sums in fp32, by
/// NVIDIA's papers on the architectures; 0 where they are not known here.
constexpr double bf16_operations_per_cycle(int capability) {
  switch (capability) {
    case 80:
      return 2048;
    case 86:
    case 89:
      return 1024;
    case 90:
      return 4096;
    case 100:
      return 8192;
    default:
      return 0;
  }
}

/// Dense bf16 operations a second at the highest clock. Throws Error for an architecture that is not known
/// here.
inline double peak_bf16() {
  const auto& context = burrow::cuda::Context::instance();
  const double of_cycle = bf16_operations_per_cycle(context.capability());
  if (of_cycle == 0)
    throw burrow::Error("the bf16 peak of compute capability " + std::to_string(context.capability()) +
                        " is not known: add it to benchmarks/cuda/peak.cuh");
  int kilohertz = 0;
  burrow::cuda::check(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, context.device()),
                      "the device's clock");
  return of_cycle * context.multiprocessors() * 1e3 * kilohertz;
}

}  // namespace benchmarks
