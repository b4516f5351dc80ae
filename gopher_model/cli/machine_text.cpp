#include "gopher_model/cli/machine_text.hpp"

#include <nlohmann/json.hpp>

#include "gopher_model/model/quantities.hpp"
#include "gopher_model/training/machine.hpp"

namespace gopher {
namespace {

std::string line(std::string name, const std::string& value) {
  name.resize(14, ' ');
  return name + value + "\n";
}

std::string rate(double value, const char* unit) { return formatted("%.1f", value / 1e9) + unit; }

}  // namespace

std::string machine_text() {
  const MachineReport report = measured_machine();
  const burrow::Peaks& peaks = report.peaks;
  return line("processor", report.cpu) + line("SIMD", report.simd) +
         line("instructions", report.instructions) + line("threads", std::to_string(report.threads)) +
         line("caches", report.caches) + line("huge pages", report.huge_pages) +
         line("products", "float by " + report.backend + ": " + rate(peaks.float_flops, " GFLOP/s")) +
         line("", "bf16 by " + report.bf16_backend + ": " + rate(peaks.bf16_flops, " GFLOP/s")) +
         line("memory", "read at " + rate(peaks.read_bandwidth, " GB/s") + ", a = b + s c at " +
                            rate(peaks.stream_bandwidth, " GB/s"));
}

std::string machine_json() {
  const MachineReport report = measured_machine();
  const nlohmann::ordered_json json{{"cpu", report.cpu},
                                    {"simd", report.simd},
                                    {"instructions", report.instructions},
                                    {"threads", report.threads},
                                    {"caches", report.caches},
                                    {"huge_pages", report.huge_pages},
                                    {"backend", report.backend},
                                    {"bf16_backend", report.bf16_backend},
                                    {"float_flops_per_second", report.peaks.float_flops},
                                    {"bf16_flops_per_second", report.peaks.bf16_flops},
                                    {"read_bytes_per_second", report.peaks.read_bandwidth},
                                    {"stream_bytes_per_second", report.peaks.stream_bandwidth}};
  return json.dump(2) + "\n";
}

}  // namespace gopher
