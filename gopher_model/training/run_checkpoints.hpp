// The checkpoints of a session: those on the way are written beside training, from a copy, or while it waits,
// as the configuration says; the last one is waited for in any case.
#pragma once

#include <chrono>
#include <type_traits>

#include "gopher_model/training/checkpoint.hpp"
#include "gopher_model/training/run_costs.hpp"
#include "gopher_model/training/session_parts.hpp"

namespace gopher {

/// Writes the checkpoints of one session, one at a time. All functions that write are called by all ranks,
/// and throw IoError with what is left of the run.
class RunCheckpoints {
 public:
  explicit RunCheckpoints(const SessionParts& parts)
      : parts_{parts}, writer_{parts.ranks.world(), [this] {
                                 parts_.directory->prune(parts_.configuration.keep);
                               }} {}

  /// Takes the memory of the copy, where there is to be one.
  template <class Model, class Optimizer>
  void take_memory(const Model& model, Optimizer& optimizer) {
    if (copies_checkpoints(parts_.configuration)) reserve(copy_, model, optimizer);
  }

  /// The run goes on from the checkpoint after that step, which is not written again.
  void resumed_after(Index step) { newest_ = step; }
  /// The step that the newest checkpoint was begun after; -1 where there is none.
  Index newest() const { return newest_; }

  /// Begins to write a checkpoint on the way. Where the one before is not on disk yet it waits for that, and
  /// says so if it takes long.
  template <class Model, class Optimizer>
  void begin(const Model& model, Optimizer& optimizer, const TrainingState& state) {
    const auto start = Clock::now();
    const bool early = writer_.busy();
    finish();
    if (early) count_wait(state.step, seconds_since(start));
    const bool beside = copies_checkpoints(parts_.configuration);
    write(model, optimizer, state, beside ? &copy_ : nullptr);
    if (!beside) finish();
    stood_still_ += seconds_since(start);
  }

  /// Writes the session's last checkpoint and waits for it.
  template <class Model, class Optimizer>
  void write_last(const Model& model, Optimizer& optimizer, const TrainingState& state) {
    finish();
    if (newest_ == state.step) return;
    write(model, optimizer, state, nullptr);
    finish();
  }

  /// 1 while this rank writes its part of a checkpoint, else 0.
  double unwritten() const {
    return saying_what_is_left([&] { return writer_.writing() ? 1.0 : 0.0; });
  }
  /// Goes on with a checkpoint, of which all ranks together have that many parts still to write.
  void go_on(double unwritten) {
    saying_what_is_left([&] { writer_.advance(unwritten == 0); });
  }

  /// Adds what checkpoints on the way have taken so far.
  void add_to(RunCosts& costs) const {
    costs.checkpoint_seconds = stood_still_;
    costs.checkpoint_waits = waits_;
    if (copies_checkpoints(parts_.configuration)) costs.memory["checkpoint_copy"] = copy_.bytes();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  template <class Model, class Optimizer>
  void write(const Model& model, Optimizer& optimizer, const TrainingState& state, CheckpointCopy* copy) {
    const auto& c = parts_.configuration;
    saying_what_is_left([&] {
      writer_.start(checkpoint_content(
          parts_.files.checkpoint(state.step), model, optimizer, parts_.corpus.tokenizer.serialized(),
          checkpoint_metadata(c.size, c.precision, state, parts_.corpus.identity), copy));
    });
    newest_ = state.step;
  }
  void finish() {
    saying_what_is_left([&] { writer_.finish(); });
  }

  void count_wait(Index step, double seconds) {
    constexpr double long_time = 1;
    ++waits_;
    if (seconds < long_time || std::exchange(told_, true)) return;
    parts_.progress.message(
        "the checkpoint after step " + std::to_string(step) + " waited " +
        std::to_string(std::lround(seconds)) +
        " s for the one before to be on disk; a larger --checkpoint-every lets it finish");
  }

  /// Calls write(); what it throws also says which checkpoint is whole.
  template <class Write>
  std::invoke_result_t<const Write&> saying_what_is_left(const Write& write) const {
    try {
      return write();
    } catch (const burrow::IoError& error) {
      const auto whole = parts_.files.newest_checkpoint();
      throw burrow::IoError(error.what() + (whole ? "; the one after step " + std::to_string(whole->step) +
                                                        " is whole: gopher train --resume --run " +
                                                        parts_.files.root.string() + " goes on from it"
                                                  : "; the run has no checkpoint yet"));
    }
  }

  const SessionParts& parts_;
  CheckpointCopy copy_;
  Index newest_ = -1, waits_ = 0;
  double stood_still_ = 0;
  bool told_ = false;
  CheckpointWriter<World> writer_;  // last: its thread uses the others
};

}  // namespace gopher
