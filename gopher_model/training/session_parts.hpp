// What a training session works with, and the sessions that are compiled, one to a precision.
#pragma once

#include "gopher_model/training/corpus.hpp"
#include "gopher_model/training/progress.hpp"
#include "gopher_model/training/run_directory.hpp"
#include "gopher_model/training/stop_signal.hpp"

namespace gopher {

/// What a session works with; all of it outlives the session.
struct SessionParts {
  const RunConfiguration& configuration;  ///< effective: with the tokenizer's vocabulary
  const RunDirectory& run;
  const Corpus& corpus;
  const StopSignal& stop;
  ProgressLine& progress;
  double peak_flops_per_second;
};

/// Runs a session in one precision; each is compiled in a translation unit of its own.
int run_float32(const SessionParts& parts);
int run_mixed_bf16(const SessionParts& parts);
int run_bf16(const SessionParts& parts);

}  // namespace gopher
