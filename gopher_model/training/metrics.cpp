#include "gopher_model/training/metrics.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>

namespace gopher {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what, int error) {
  throw burrow::IoError(path.string() + " " + what + ": " + std::generic_category().message(error) + ".");
}

// The most memory that this process has had at once, as the system counts it.
Index largest_resident() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return Index{usage.ru_maxrss} << 10;
}

// The step that a line records; nothing if the line is not a record.
std::optional<Index> recorded_step(std::string_view line) {
  const auto record = nlohmann::json::parse(line, nullptr, false);
  if (!record.is_object()) return {};
  const auto step = record.find("step");
  if (step == record.end() || !step->is_number_integer()) return {};
  return step->get<Index>();
}

// The lines of `text` that record steps up to `last`, without a torn last line.
std::string kept_records(std::string_view text, Index last, const std::string& name) {
  std::string kept;
  Index line_number = 0;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    ++line_number;
    const auto step = recorded_step(line);
    if (!step && text.empty()) break;
    if (!step) {
      throw burrow::IoError(name + ":" + std::to_string(line_number) +
                            " is not a record of a run; mend or remove the line to go on.");
    }
    if (*step <= last) kept.append(line).append("\n");
  }
  return kept;
}

Json known(double value) { return value < 0 ? Json{nullptr} : Json(value); }

std::string line_of(const Json& record) {
  return record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path path, std::optional<Index> resumed_step)
    : path_{std::move(path)} {
  std::error_code unknown;
  if (std::filesystem::exists(path_, unknown)) {
    const std::string text = burrow::read_text(path_);
    const std::string kept = resumed_step ? kept_records(text, *resumed_step, path_.string()) : "";
    if (kept != text) burrow::write_atomically(path_, kept);
  }
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(path_, "cannot be opened", errno);
}

MetricsLog::~MetricsLog() { ::close(descriptor_); }

void MetricsLog::step(const StepReport& report) {
  append(line_of({{"kind", "step"},
                  {"step", report.step},
                  {"tokens", report.tokens},
                  {"loss", report.loss},
                  {"bits_per_byte", report.bits_per_byte},
                  {"learning_rate", report.learning_rate},
                  {"gradient_norm", report.gradient_norm},
                  {"skipped", report.skipped},
                  {"tokens_per_second", report.tokens_per_second},
                  {"utilisation", known(report.utilisation)},
                  {"data_wait", report.data_wait},
                  {"elapsed", report.elapsed}}));
}

void MetricsLog::evaluation(const EvaluationReport& report) {
  append(line_of({{"kind", "evaluation"},
                  {"step", report.step},
                  {"tokens", report.tokens},
                  {"loss", report.loss},
                  {"bits_per_byte", report.bits_per_byte},
                  {"baseline_bits_per_byte", report.baseline_bits_per_byte}}));
}

void MetricsLog::checkpoint(Index step, const std::filesystem::path& path) {
  append(line_of({{"kind", "checkpoint"}, {"step", step}, {"path", path.string()}}));
}

void MetricsLog::costs(Index step, const std::string& mesh, const RunCosts& costs) {
  Json sent = Json::object();
  for (std::size_t i = 0; i < burrow::collective_count; ++i) {
    const auto& count = costs.sent.counts[i];
    if (count.calls > 0)
      sent[burrow::name_of(static_cast<burrow::Collective>(i))] = {
          {"calls", count.calls}, {"messages", count.messages}, {"bytes", count.bytes}};
  }
  append(line_of({{"kind", "costs"},
                  {"step", step},
                  {"mesh", mesh},
                  {"steps", costs.steps},
                  {"sent", sent},
                  {"memory", costs.memory},
                  {"memory_of_all_ranks", costs.memory_of_all},
                  {"largest_peak", costs.largest_peak},
                  {"passes", costs.passes},
                  {"resident_of_rank_0", largest_resident()},
                  {"checkpoint_seconds", costs.checkpoint_seconds},
                  {"checkpoint_waits", costs.checkpoint_waits}}));
}

void MetricsLog::append(const std::string& line) {
  const off_t before = ::lseek(descriptor_, 0, SEEK_END);
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int error = count < 0 ? errno : ENOSPC;
      [[maybe_unused]] const int undone = ::ftruncate(descriptor_, before);
      fail(path_, "cannot be written", error);
    }
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace gopher
