// The record of a run: RUN/metrics.jsonl, one JSON object per line.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "gopher_model/training/progress.hpp"

namespace gopher {

/// The loss on held-out text after a step.
struct EvaluationReport {
  Index step = 0;
  Index tokens = 0;                   ///< taken by all steps done
  double loss = 0;                    ///< mean over the held-out tokens, in nats
  double bits_per_byte = 0;           ///< of the held-out text
  double baseline_bits_per_byte = 0;  ///< of the same text under the baseline
};

/// Appends records; each is in the file when its call returns. Numbers that are not finite are written as
/// null. Every record has "kind" ("step", "evaluation" or "checkpoint") and "step".
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

 private:
  void append(const std::string& line);

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace gopher
