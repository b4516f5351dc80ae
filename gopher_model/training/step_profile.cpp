#include "gopher_model/training/step_profile.hpp"

#include <optional>
#include <sstream>

#include <burrow/debug/profile.hpp>
#include <burrow/debug/trace.hpp>

#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/quantities.hpp"

namespace gopher {
namespace {

constexpr Index left_out = 2;

std::string rate(double value, const char* unit) { return formatted("%.1f", value / 1e9) + unit; }

}  // namespace

struct StepProfile::State {
  const RunDirectory& run;
  const burrow::Peaks& peaks;
  ProgressLine& progress;
  Index steps, begun = 0, profiled = 0;
  std::optional<burrow::Profile> profile{};
  std::optional<burrow::Trace> trace{};

  void say_profile() {
    std::ostringstream text;
    text << "profile of " << profiled << (profiled == 1 ? " step" : " steps") << ", "
         << formatted("%.2f", 1e3 * profile->seconds() / static_cast<double>(profiled))
         << " ms each; this machine's peaks: products of float " << rate(peaks.float_flops, " GFLOP/s")
         << ", of bf16 " << rate(peaks.bf16_flops, " GFLOP/s") << ", memory "
         << rate(peaks.stream_bandwidth, " GB/s") << "\n"
         << *profile;
    profile.reset();
    progress.message(text.str());
  }

  void write_trace() {
    std::ostringstream text;
    trace->write_chrome(text);
    trace.reset();
    run.write_text("profile.json", text.str());
    progress.message("a step for Perfetto or chrome://tracing: " + (run.root / "profile.json").string());
  }
};

StepProfile::StepProfile(const RunDirectory& run, Index steps, const burrow::Peaks& peaks,
                         ProgressLine& progress)
    : state_{new State{run, peaks, progress, steps}} {}

StepProfile::~StepProfile() {
  if (!state_->profile) return;
  try {
    state_->say_profile();
  } catch (...) {  // no memory for a text: there is nothing to say
  }
}

void StepProfile::step_begins() {
  State& s = *state_;
  const Index step = s.begun++ - left_out;
  if (step == 0) s.profile.emplace(s.peaks);
  if (step == s.steps) {
    s.say_profile();
    s.trace.emplace();
  }
}

void StepProfile::step_ends() {
  State& s = *state_;
  if (s.profile) ++s.profiled;
  if (s.trace) s.write_trace();
}

double update_bytes(const RunConfiguration& c) {
  const StateBytes bytes = state_bytes(c);
  return static_cast<double>(bytes.gradients + 2 * bytes.total());
}

}  // namespace gopher
