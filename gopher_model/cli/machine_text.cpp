#include "gopher_model/cli/machine_text.hpp"

#include <nlohmann/json.hpp>

#include "gopher_model/training/machine.hpp"

namespace gopher {

std::string machine_text() {
  const MachineReport report = machine_report();
  return "processor  " + report.cpu + "\nSIMD       " + report.simd + "\nthreads    " +
         std::to_string(report.threads) + "\nbackend    " + report.backend + "\n";
}

std::string machine_json() {
  const MachineReport report = machine_report();
  const nlohmann::ordered_json json{
      {"cpu", report.cpu}, {"simd", report.simd}, {"threads", report.threads}, {"backend", report.backend}};
  return json.dump(2) + "\n";
}

}  // namespace gopher
