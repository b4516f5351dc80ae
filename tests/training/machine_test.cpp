// The machine's description, and a peak that products reach.
#include "gopher_model/training/machine.hpp"

#include <catch2/catch.hpp>

#include <burrow/core/parallel.hpp>

namespace gopher {

TEST_CASE("the machine is described without measuring") {
  const MachineReport report = machine_report();
  CHECK_FALSE(report.cpu.empty());
  CHECK_FALSE(report.simd.empty());
  CHECK(report.threads == burrow::threads());
  CHECK((report.backend == "oneDNN" || report.backend == "Eigen"));
  CHECK(report.peak_flops_per_second == 0);
}

TEST_CASE("the measured peak is one that a machine can have") {
  const double peak = machine_report(true).peak_flops_per_second;
  CHECK(peak > 1e8);
  CHECK(peak < 1e16);
}

}  // namespace gopher
