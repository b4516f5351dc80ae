// The clock of observers: every moment belongs to one operation, one region, or to nobody.
#pragma once

#include <time.h>  // <chrono> brings calendars into every program

#include <utility>
#include <vector>

#include <burrow/core/observe.hpp>

namespace burrow::detail {

/// An operation or region that is over. Times are in seconds since the clock was made.
struct TimedOperation {
  const char* name;
  const char* pass;  ///< "forward", "backward", or the outermost region
  std::string_view dtype;
  std::span<const Index> extents;  ///< of the value, or of its gradient
  Index bytes;                     ///< likewise
  double start, end;
  double own;  ///< without the operations within
  Work work;
  bool region;
};

/// Base of observers that time. The time that they take themselves belongs to nobody.
class OperationTimer : public Observer {
 public:
  void begins() override {
    const double time = now();
    charge(time);
    if (!frames_.empty()) add(frames_.back().work, std::exchange(work_, {}));
    begun_ = true;
    resume(time);
  }

  void finishes(const ObservedOperation& operation) override {
    const double end = now();
    if (operation.backward) {
      charge(end);
      if (!frames_.empty() && frames_.back().backward) finish_backward(operation);
    } else if (!begun_ && operation.storage && operation.storage.data() == last_value_) {
      charge(end);
      renamed(operation.name);  // a traced reduction is told of twice: as a loop, then as what is recorded
    } else {
      last_value_ = operation.storage.data();
      if (work_.bytes == 0) work_.bytes = operation.traffic;
      timed({operation.name, pass(), operation.dtype, operation.extents, operation.bytes, mark_, end,
             end - mark_, work_, false});
    }
    work_ = {};
    begun_ = false;
    resume(end);
  }

  void enters(const char* name, bool backward) override {
    const double time = now();
    charge(time);
    if (!frames_.empty()) add(frames_.back().work, std::exchange(work_, {}));
    frames_.push_back({name, backward, time, 0, {}, false, {}, {}, 0});
    begun_ = true;
    resume(time);
  }

  void leaves() override {
    const double time = now();
    charge(time);
    if (!frames_.empty()) close(time);  // else it was entered before this observer was made
    begun_ = true;
    resume(time);
  }

  void works(const Work& work) override { add(work_, work); }

 protected:
  OperationTimer() = default;
  ~OperationTimer() = default;

  virtual void timed(const TimedOperation& operation) = 0;
  /// The operation last timed goes by another name.
  virtual void renamed(const char* name) = 0;

  /// Seconds since the clock was made or started again, without those that observing took.
  double elapsed() const { return now() - origin_ - observing_; }
  void restart() {
    origin_ = mark_ = now();
    observing_ = 0;
    for (Frame& frame : frames_) frame.own = 0;
  }

 private:
  struct Frame {
    const char* name;
    bool backward;
    double start, own;
    Work work;
    bool finished;
    std::string_view dtype;
    std::vector<Index> extents;
    Index bytes;
  };

  static void add(Work& sum, const Work& work) {
    sum.flops += work.flops;
    sum.bytes += work.bytes;
    if (!work.factors.empty()) sum.factors = work.factors;
  }

  static double clock_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }
  double now() const { return clock_seconds() - epoch_; }
  void resume(double stopped) {
    mark_ = now();
    observing_ += mark_ - stopped;
  }

  /// The time until now is the innermost frame's.
  void charge(double time) {
    if (!frames_.empty()) frames_.back().own += time - mark_;
    mark_ = time;
  }

  const char* pass() const {
    for (const Frame& frame : frames_)
      if (frame.backward) return "backward";
    return frames_.empty() ? "forward" : frames_.front().name;
  }

  void finish_backward(const ObservedOperation& operation) {
    Frame& frame = frames_.back();
    frame.finished = true;
    add(frame.work, work_);
    if (frame.work.bytes == 0) frame.work.bytes = operation.traffic;
    frame.dtype = operation.dtype;
    frame.extents.assign(operation.extents.begin(), operation.extents.end());
    frame.bytes = operation.bytes;
  }

  void close(double time) {
    const char* const its_pass = pass();
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (frame.backward && !frame.finished) {  // nobody asked for this gradient
      if (!frames_.empty()) frames_.back().own += frame.own;
      return;
    }
    if (!frame.backward) add(frame.work, std::exchange(work_, {}));
    timed({frame.name, its_pass, frame.dtype, frame.extents, frame.bytes, frame.start, time, frame.own,
           frame.work, !frame.backward});
  }

  double epoch_ = clock_seconds();
  double origin_ = 0, mark_ = 0, observing_ = 0;
  bool begun_ = true;  // something has begun since the last operation ended
  const void* last_value_ = nullptr;
  Work work_;
  std::vector<Frame> frames_;
};

}  // namespace burrow::detail
