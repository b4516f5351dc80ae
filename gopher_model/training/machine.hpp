// The machine that a run computes on, and how fast it multiplies matrices.
#pragma once

#include <filesystem>
#include <string>

#include <burrow/debug/peaks.hpp>

#include "gopher_model/model/configuration.hpp"

namespace gopher {

/// What computes, in words and numbers.
struct MachineReport {
  std::string cpu;           ///< the processor's name
  std::string simd;          ///< the vector instructions of this build, and wider ones left unused
  int threads = 0;           ///< that loops and products use
  std::string backend;       ///< what multiplies float matrices
  std::string bf16_backend;  ///< what multiplies bf16 matrices
  std::string instructions;  ///< of the processor, those that matter here
  std::string caches;        ///< their sizes, nearest first
  std::string huge_pages;    ///< how the system gives them
  burrow::Peaks peaks;       ///< all 0: not measured
};

/// Describes this machine, without measuring anything.
MachineReport machine_report();

/// As `machine_report`, with the peaks measured within a second.
MachineReport measured_machine();

/// As `measured_machine`, but believes what the file at `path` holds of the same processor, threads and
/// libraries, unless the machine was busy then. What was measured is written there; of a peak that was
/// measured twice the larger one stands.
MachineReport measured_machine(const std::filesystem::path& path);

/// The peak of products in the precision that a run computes in, in FLOPs a second: what utilisation is a
/// share of.
double product_peak(const burrow::Peaks& peaks, Precision precision);

/// The report as one line: names, and the peak with how it was found.
std::string description(const MachineReport& report, Precision precision);

}  // namespace gopher
