// The record of a run: RUN/metrics.jsonl, one JSON object per line.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "gopher_model/training/progress.hpp"
#include "gopher_model/training/run_costs.hpp"

namespace gopher {

/// Appends records; each is in the file when its call returns. Numbers that are not finite are written as
/// null. Every record has "kind" ("step", "evaluation", "checkpoint" or "costs") and "step".
class MetricsLog {
 public:
  /// Opens `path`, which is created where it is missing. A run that resumes after `resumed_step` keeps the
  /// records up to that step and drops later ones, so that its file has the records of an uninterrupted run,
  /// provided that the records of a step are written before its checkpoint; a run that starts anew
  /// (no `resumed_step`) keeps none. A last line that was not written whole is dropped. Throws IoError if the
  /// file cannot be read or written, or another line in it is not a record.
  explicit MetricsLog(std::filesystem::path path, std::optional<Index> resumed_step = {});
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;
  ~MetricsLog();

  /// Each appends one record; throws IoError if it cannot be written, and the file is then as it was.
  void step(const StepReport& report);
  void evaluation(const EvaluationReport& report);
  void checkpoint(Index step, const std::filesystem::path& path);
  void costs(Index step, const std::string& mesh, const RunCosts& costs);

 private:
  void append(const std::string& line);

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace gopher
