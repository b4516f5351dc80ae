// The machine that a run computes on, and how fast it multiplies matrices.
#pragma once

#include <filesystem>
#include <string>

namespace gopher {

/// What computes, in words and numbers.
struct MachineReport {
  std::string cpu;                   ///< the processor's name
  std::string simd;                  ///< the vector instructions of this build, and wider ones left unused
  int threads = 0;                   ///< that loops and products use
  std::string backend;               ///< the library that multiplies float matrices
  double peak_flops_per_second = 0;  ///< of the fastest large fp32 product, all threads; 0: not measured
  double cpu_share = 1;              ///< of its threads' time that it got; low where others compute too
};

/// Describes this machine, without measuring anything.
MachineReport machine_report();

/// Multiplies large square matrices for the peak that utilisation is a share of: for half a second at least,
/// then until a further half second gives nothing faster, for three seconds at most.
MachineReport measured_machine();

/// As `measured_machine`, but believes what the file at `path` holds of the same processor, threads and
/// library, unless the machine was busy then. What was measured is written there, if it is not slower.
MachineReport measured_machine(const std::filesystem::path& path);

/// The report as one line: names, and the peak with how it was found.
std::string description(const MachineReport& report);

}  // namespace gopher
