// Where the time of training steps goes: `gopher train --profile`.
#pragma once

#include <memory>

#include <burrow/core/shape.hpp>
#include <burrow/debug/peaks.hpp>

#include "gopher_model/training/progress.hpp"
#include "gopher_model/training/run_configuration.hpp"
#include "gopher_model/training/run_directory.hpp"

namespace gopher {

/// Leaves out two steps, profiles the next ones, traces the one after them, then says what it found. What is
/// known by then it says at the latest when it ends.
class StepProfile {
 public:
  /// The first three outlive it.
  StepProfile(const RunDirectory& run, Index steps, const burrow::Peaks& peaks, ProgressLine& progress);
  StepProfile(const StepProfile&) = delete;
  StepProfile& operator=(const StepProfile&) = delete;
  ~StepProfile();

  /// Around each step, on the thread that computes it.
  void step_begins();
  void step_ends();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Bytes that an update reads and writes: the gradient, and twice the parameters and the optimizer's state.
double update_bytes(const RunConfiguration& configuration);

}  // namespace gopher
