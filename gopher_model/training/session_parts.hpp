// What a training session works with, and the sessions that are compiled, one to a precision.
#pragma once

#include <burrow/debug/peaks.hpp>

#include "gopher_model/training/corpus.hpp"
#include "gopher_model/training/progress.hpp"
#include "gopher_model/training/ranks.hpp"
#include "gopher_model/training/resume.hpp"
#include "gopher_model/training/run_directory.hpp"
#include "gopher_model/training/stop_signal.hpp"

namespace gopher {

/// What a session works with; all of it outlives the session.
struct SessionParts {
  const RunConfiguration& configuration;  ///< with the tokenizer's vocabulary
  const Ranks& ranks;
  const RunFiles& files;
  const RunDirectory* directory;  ///< of rank 0, which writes there; null on the others
  const Corpus& corpus;
  const StopSignal& stop;
  ProgressLine& progress;
  const std::optional<ResumePoint>& resume;  ///< where the run goes on; nothing: at the start
  const burrow::Peaks& peaks;                ///< of rank 0's machine; 0 on the others
};

/// A warm-up takes at most a fifth of a run. Shortens a longer one in `configuration`, and returns the
/// sentence that says so; the empty text where nothing changes. `total_steps` is 0 while it is unknown.
std::string shorten_warmup(RunConfiguration& configuration, Index total_steps);

/// Writes RUN/configuration.toml: what the run does in fact.
void save_configuration(const RunDirectory& run, RunConfiguration configuration);

/// Runs a session in one precision; each is compiled in a translation unit of its own.
int run_float32(const SessionParts& parts);
int run_mixed_bf16(const SessionParts& parts);
int run_bf16(const SessionParts& parts);
/// The same for meshes with tensor ranks or a pipeline.
int run_divided_float32(const SessionParts& parts);
int run_divided_mixed_bf16(const SessionParts& parts);
int run_divided_bf16(const SessionParts& parts);
/// The same on a GPU, in the precision of the configuration.
int run_cuda(const SessionParts& parts);

}  // namespace gopher
