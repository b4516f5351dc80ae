// What a GPU's tensor cores can do at most.
#pragma once

#include <string>

#include <burrow/core/cuda.cuh>

namespace benchmarks {

/// Operations (products and sums) of dense bf16, before compute capability 8.0 of half, that the tensor cores
/// of one multiprocessor do in a cycle with sums in fp32; 0 where they are not known here. From NVIDIA's
/// papers on the architectures: Volta V100 (WP-08608-001), Turing (WP-09183-001), A100, GA102, Ada, H100,
/// Blackwell and RTX Blackwell. GeForce cards of 8.6, 8.9 and 12.0 do half of it with sums in fp32; the
/// number is that of the others.
constexpr double tensor_operations_per_cycle(int capability) {
  switch (capability) {
    case 70:
    case 75:
    case 86:
    case 89:
    case 120:
      return 1024;
    case 80:
      return 2048;
    case 90:
      return 4096;
    case 100:
      return 8192;
    default:
      return 0;
  }
}

/// That of a whole device in a second.
constexpr double peak_of(int capability, int multiprocessors, double hertz) {
  return tensor_operations_per_cycle(capability) * multiprocessors * hertz;
}
/// Whether the table gives what NVIDIA says of a card, in tera-operations a second.
constexpr bool peak_is(double teras, int capability, int multiprocessors, double megahertz) {
  const double found = peak_of(capability, multiprocessors, megahertz * 1e6) / 1e12;
  return found > 0.99 * teras && found < 1.01 * teras;
}
static_assert(peak_is(125, 70, 80, 1530), "V100 SXM2");
static_assert(peak_is(65, 75, 40, 1590), "T4");
static_assert(peak_is(312, 80, 108, 1410), "A100");
static_assert(peak_is(149.7, 86, 84, 1740), "A40");
static_assert(peak_is(362, 89, 142, 2490), "L40S");
static_assert(peak_is(989.4, 90, 132, 1830), "H100 SXM5");
static_assert(peak_is(2250, 100, 148, 1850), "B200");
static_assert(peak_is(503.8, 120, 188, 2617), "RTX PRO 6000 Blackwell");

/// The peak of the device at hand at its highest clock. Throws Error for an architecture that is not known
/// here.
inline double peak_bf16() {
  const auto& context = burrow::cuda::Context::instance();
  if (tensor_operations_per_cycle(context.capability()) == 0)
    throw burrow::Error("the bf16 peak of compute capability " + std::to_string(context.capability()) +
                        " is not known: add it to benchmarks/cuda/peak.cuh");
  int kilohertz = 0;
  burrow::cuda::check(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, context.device()),
                      "the device's clock");
  return peak_of(context.capability(), context.multiprocessors(), 1e3 * kilohertz);
}

}  // namespace benchmarks
