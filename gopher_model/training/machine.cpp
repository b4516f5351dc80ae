#include "gopher_model/training/machine.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include <burrow/debug/measured_peaks.hpp>
#include <burrow/io/file.hpp>

#include "gopher_model/model/quantities.hpp"

namespace gopher {
namespace {

// The value of the first line "model name : ..." of Linux's list of processors.
std::string cpu_name() {
  std::ifstream list{"/proc/cpuinfo"};
  for (std::string line; std::getline(list, line);) {
    const auto colon = line.find(':');
    if (!line.starts_with("model name") || colon == line.npos) continue;
    const auto begin = line.find_first_not_of(" \t", colon + 1);
    if (begin != line.npos) return line.substr(begin);
  }
  utsname system{};
  return ::uname(&system) == 0 ? std::string{system.machine} + " processor" : "unknown";
}

struct Simd {
  std::string_view name;
  bool compiled;   // this build uses it
  bool available;  // this processor has it
};

// Widest first.
auto simd_sets() {
#if defined(__x86_64__)
#ifdef __AVX512F__
  constexpr bool avx512 = true;
#else
  constexpr bool avx512 = false;
#endif
#ifdef __AVX2__
  constexpr bool avx2 = true;
#else
  constexpr bool avx2 = false;
#endif
#ifdef __AVX__
  constexpr bool avx = true;
#else
  constexpr bool avx = false;
#endif
  return std::array{Simd{"AVX-512", avx512, __builtin_cpu_supports("avx512f") != 0},
                    Simd{"AVX2", avx2, __builtin_cpu_supports("avx2") != 0},
                    Simd{"AVX", avx, __builtin_cpu_supports("avx") != 0}, Simd{"SSE2", true, true}};
#elif defined(__ARM_NEON)
  return std::array{Simd{"NEON", true, true}};
#else
  return std::array{Simd{"none", true, true}};
#endif
}

// "AVX-512", or "SSE2 (the processor has AVX2; build with BURROW_NATIVE=ON to use it)".
std::string simd_name() {
  const auto sets = simd_sets();
  const auto used = std::find_if(sets.begin(), sets.end(), [](const Simd& set) { return set.compiled; });
  const auto widest = std::find_if(sets.begin(), sets.end(), [](const Simd& set) { return set.available; });
  std::string text{used->name};
  if (widest < used) {
    text +=
        " (the processor has " + std::string{widest->name} + ", which a build for this machine would use)";
  }
  return text;
}

// The names of the instruction sets that matrix products may use, those that the processor has.
std::string instruction_sets() {
  std::string names;
#if defined(__x86_64__)
  const auto add = [&](const char* name, int has) {
    if (has != 0) names += (names.empty() ? "" : " ") + std::string(name);
  };
  add("AVX2", __builtin_cpu_supports("avx2"));
  add("FMA", __builtin_cpu_supports("fma"));
  add("AVX512F", __builtin_cpu_supports("avx512f"));
  add("AVX512BW", __builtin_cpu_supports("avx512bw"));
  add("AVX512_VNNI", __builtin_cpu_supports("avx512vnni"));
  add("AVX512_BF16", __builtin_cpu_supports("avx512bf16"));
#endif
  return names.empty() ? "none of those looked for" : names;
}

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

// "32K, 1024K, 32768K": data caches of the first processor, nearest first.
std::string cache_sizes() {
  std::string sizes;
  for (int i = 0; i < 8; ++i) {
    const std::filesystem::path cache = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i);
    const std::string size = first_line(cache / "size");
    if (!size.empty() && first_line(cache / "type") != "Instruction")
      sizes += (sizes.empty() ? "" : ", ") + size;
  }
  return sizes.empty() ? "unknown" : sizes;
}

// "madvise" out of "always [madvise] never".
std::string huge_page_setting() {
  const std::string line = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  const auto begin = line.find('['), end = line.find(']');
  return begin == line.npos || end == line.npos ? "unknown" : line.substr(begin + 1, end - begin - 1);
}

// Below this share of the processor's time, a measurement is more of the others' programs than of the
// machine.
constexpr double least_share = 0.7;

using Json = nlohmann::ordered_json;

Json machine_of(const MachineReport& report) {
  return {{"cpu", report.cpu},
          {"simd", report.simd},
          {"threads", report.threads},
          {"backend", report.backend},
          {"bf16_backend", report.bf16_backend}};
}

struct NamedPeak {
  const char* name;
  double burrow::Peaks::*value;
};
constexpr NamedPeak named_peaks[] = {{"float_flops_per_second", &burrow::Peaks::float_flops},
                                     {"bf16_flops_per_second", &burrow::Peaks::bf16_flops},
                                     {"read_bytes_per_second", &burrow::Peaks::read_bandwidth},
                                     {"stream_bytes_per_second", &burrow::Peaks::stream_bandwidth},
                                     {"cpu_share", &burrow::Peaks::cpu_share}};

// Takes the peaks from the text of a file if it is of the same machine; true if they are good enough.
bool take_peaks(const std::string& text, MachineReport& report) {
  const Json file = Json::parse(text, nullptr, false);
  if (!file.is_object() || file.value("machine", Json{}) != machine_of(report)) return false;
  burrow::Peaks peaks;
  for (const NamedPeak& peak : named_peaks) {
    const Json value = file.value(peak.name, Json{});
    if (!value.is_number() || !(value.get<double>() > 0)) return false;
    peaks.*peak.value = value.get<double>();
  }
  report.peaks = peaks;
  return peaks.cpu_share >= least_share;
}

void measure(MachineReport& report) {
  const burrow::Peaks before = std::exchange(report.peaks, burrow::measured_peaks());
  burrow::trim_memory();  // of what was measured with, which no run needs
  for (const NamedPeak& peak : named_peaks)
    if (peak.value != &burrow::Peaks::cpu_share)
      report.peaks.*peak.value = std::max(report.peaks.*peak.value, before.*peak.value);
  if (before.float_flops >= report.peaks.float_flops) report.peaks.cpu_share = before.cpu_share;
}

}  // namespace

MachineReport machine_report() {
  return {cpu_name(),
          simd_name(),
          burrow::threads(),
          burrow::cpu::matmul_backend<float>(),
          burrow::cpu::matmul_backend<burrow::bf16>(),
          instruction_sets(),
          cache_sizes(),
          huge_page_setting(),
          {}};
}

MachineReport measured_machine() {
  MachineReport report = machine_report();
  measure(report);
  return report;
}

MachineReport measured_machine(const std::filesystem::path& path) {
  MachineReport report = machine_report();
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && take_peaks(burrow::read_text(path), report)) return report;
  measure(report);
  Json file{{"machine", machine_of(report)}};
  for (const NamedPeak& peak : named_peaks) file[peak.name] = report.peaks.*peak.value;
  burrow::write_atomically(path, file.dump(2) + "\n");
  return report;
}

double product_peak(const burrow::Peaks& peaks, Precision precision) {
  return precision == Precision::float32 ? peaks.float_flops : peaks.bf16_flops;
}

std::string description(const MachineReport& report, Precision precision) {
  const bool is_float = precision == Precision::float32;
  std::string text = report.cpu + ", " + std::to_string(report.threads) + " threads, " +
                     (is_float ? "float" : "bf16") + " matrix products by " +
                     (is_float ? report.backend : report.bf16_backend) + " at " +
                     formatted("%.0f", product_peak(report.peaks, precision) / 1e9) +
                     " GFLOP/s, the fastest of those measured (util is the share of it), memory at " +
                     formatted("%.0f", report.peaks.stream_bandwidth / 1e9) + " GB/s";
  if (report.peaks.cpu_share < least_share)
    text += "; other programs took " + formatted("%.0f", 100 * (1 - report.peaks.cpu_share)) +
            "% of the time, so the machine is faster than that and util too high";
  return text;
}

}  // namespace gopher
