// The machine's description, and a peak that products reach.
#include "gopher_model/training/machine.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <burrow/core/parallel.hpp>
#include <burrow/io/file.hpp>

#include "tests/tokenizer/corpus.hpp"

namespace gopher::machine_test {

using testing::TemporaryDirectory;

TEST_CASE("the machine is described without measuring") {
  const MachineReport report = machine_report();
  CHECK_FALSE(report.cpu.empty());
  CHECK_FALSE(report.simd.empty());
  CHECK(report.threads == burrow::threads());
  for (const std::string& text :
       {report.backend, report.bf16_backend, report.instructions, report.caches, report.huge_pages})
    CHECK_FALSE(text.empty());
  CHECK(report.peaks.float_flops == 0);
}

TEST_CASE("a peak that was measured is believed on the same machine, and nowhere else") {
  const TemporaryDirectory directory;
  const std::string path = directory / "machine.json";
  const double peak = measured_machine(path).peaks.float_flops;
  CHECK(peak > 1e8);
  CHECK(peak < 1e16);
  const std::string written = burrow::read_text(path);
  const auto read_again = [&](std::string_view from, std::string_view to) {
    std::string changed = written;
    const auto at = changed.find(from);
    REQUIRE(at != changed.npos);
    changed.replace(at, from.size(), to);
    burrow::write_atomically(path, changed);
    return measured_machine(path).peaks.float_flops;
  };
  const std::string share = "\"cpu_share\": ";
  const std::string quiet = share + "1, \"x\": ", busy = share + "0.5, \"x\": ";
  CHECK(read_again(share, quiet) == peak);
  CHECK(read_again(share, busy) >= peak);  // measured again, and the faster one stands
}

TEST_CASE("a measured peak of another machine, and a damaged file, are not believed") {
  const TemporaryDirectory directory;
  const std::string path = directory / "machine.json";
  const MachineReport here = machine_report();
  const auto peak_from = [&](int threads, const std::string& end) {
    const nlohmann::ordered_json machine{{"cpu", here.cpu},
                                         {"simd", here.simd},
                                         {"threads", threads},
                                         {"backend", here.backend},
                                         {"bf16_backend", here.bf16_backend}};
    const std::string text = "{\"machine\": " + machine.dump() +
                             ", \"float_flops_per_second\": 1e18, \"bf16_flops_per_second\": 1e18"
                             ", \"read_bytes_per_second\": 1e12, \"stream_bytes_per_second\": 1e12"
                             ", \"cpu_share\": 1" +
                             end;
    burrow::write_atomically(path, text);
    return measured_machine(path).peaks.float_flops;
  };
  CHECK(peak_from(here.threads, "}") == 1e18);
  CHECK(peak_from(here.threads + 1, "}") < 1e16);
  CHECK(peak_from(here.threads, "") < 1e16);
}

TEST_CASE("a peak of a busy machine is not given without saying so, and is that of the run's precision") {
  MachineReport report;
  report.peaks.float_flops = 2e11;
  report.peaks.bf16_flops = 5e11;
  CHECK(description(report, Precision::float32).find("at 200 GFLOP/s") != std::string::npos);
  CHECK(description(report, Precision::float32).find("other programs took 50%") == std::string::npos);
  for (const Precision p : {Precision::mixed_bf16, Precision::bf16_stochastic, Precision::bf16_master}) {
    CHECK(description(report, p).find("bf16 matrix products by  at 500 GFLOP/s") != std::string::npos);
    CHECK(product_peak(report.peaks, p) == 5e11);
  }
  CHECK(product_peak(report.peaks, Precision::float32) == 2e11);
  report.peaks.cpu_share = 0.5;
  CHECK(description(report, Precision::float32).find("other programs took 50%") != std::string::npos);
}

}  // namespace gopher::machine_test
