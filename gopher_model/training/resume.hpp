// Where a resumed run goes on: its newest whole checkpoint, checked against what is asked for.
#pragma once

#include <filesystem>
#include <optional>

#include "gopher_model/training/checkpoint.hpp"
#include "gopher_model/training/progress.hpp"
#include "gopher_model/training/run_configuration.hpp"
#include "gopher_model/training/run_directory.hpp"

namespace gopher {

/// A checkpoint to go on from, and what its metadata say.
struct ResumePoint {
  std::filesystem::path path;
  CheckpointDescription saved;
};

/// The newest whole checkpoint of `run`; nothing if it was stopped before its first one. Damaged ones that
/// are passed over are told to `progress`. Throws IoError where all are damaged or the newest whole one is
/// not a Gopher checkpoint, and ConfigError where it is of another model size, precision or seed.
std::optional<ResumePoint> find_resume_point(const RunConfiguration& configuration, const RunFiles& run,
                                             ProgressLine& progress);

/// The checkpoint of `run` after `step`, which rank 0 has found.
ResumePoint resume_point(const RunFiles& run, Index step);

/// Throws ConfigError unless tokenizer and text are those that the checkpoint was trained with.
void require_same_corpus(const ResumePoint& point, const RunIdentity& corpus, const RunFiles& run);

}  // namespace gopher
