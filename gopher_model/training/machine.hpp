// The machine that a run computes on, and how fast it multiplies matrices.
#pragma once

#include <string>

namespace gopher {

/// What computes, in words and numbers.
struct MachineReport {
  std::string cpu;                   ///< the processor's name
  std::string simd;                  ///< the vector instructions of this build, and wider ones left unused
  int threads = 0;                   ///< that loops and products use
  std::string backend;               ///< the library that multiplies float matrices
  double peak_flops_per_second = 0;  ///< of the fastest large fp32 product, all threads; 0: not measured
};

/// Describes this machine. With `measure_peak`, which takes about half a second, it multiplies large square
/// matrices for the peak that utilisation is a share of.
MachineReport machine_report(bool measure_peak = false);

}  // namespace gopher
