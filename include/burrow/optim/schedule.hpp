// Schedules: constexpr values that are called with a step (0 is the first) and give the learning rate there.
#pragma once

#include <numbers>

#include <burrow/core/error.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// Anything that is called with a step and gives a number.
template <class S>
concept Schedule = requires(const S& schedule, Index step) {
  static_cast<float>(schedule(step));
};

namespace detail {

constexpr Index checked_steps(Index steps) {
  if (steps < 0) throw ValueError("schedule: a number of steps is negative");
  return steps;
}

/// cos(x) for x in [0, pi]; the same bits on every machine, and at compile time.
constexpr double cosine(double x) {
  constexpr double half_pi = std::numbers::pi / 2;
  if (x > half_pi) return -cosine(std::numbers::pi - x);
  double term = 1, sum = 1;
  for (int n = 2; n <= 24; n += 2) {
    term *= -x * x / (n * (n - 1));
    sum += term;
  }
  return sum;
}

}  // namespace detail

/// The same value at every step.
class ConstantSchedule {
 public:
  constexpr explicit ConstantSchedule(double value) : value_{value} {}
  constexpr float operator()(Index) const { return static_cast<float>(value_); }

 private:
  double value_;
};

/// From `initial` at step 0 along a straight line to `final` at step `steps`, and `final` ever after.
class LinearSchedule {
 public:
  constexpr LinearSchedule(double initial, double final, Index steps)
      : initial_{initial}, final_{final}, steps_{detail::checked_steps(steps)} {}

  constexpr float operator()(Index step) const {
    if (step >= steps_) return static_cast<float>(final_);
    const double progress = static_cast<double>(step) / static_cast<double>(steps_);
    return static_cast<float>(initial_ + (final_ - initial_) * progress);
  }

 private:
  double initial_, final_;
  Index steps_;
};

/// From `initial` at step 0 along half a cosine to `fraction * initial` at step `steps`, and that ever after.
class CosineSchedule {
 public:
  constexpr CosineSchedule(double initial, double fraction, Index steps)
      : initial_{initial}, fraction_{fraction}, steps_{detail::checked_steps(steps)} {}

  constexpr float operator()(Index step) const {
    if (step >= steps_) return static_cast<float>(initial_ * fraction_);
    const double progress = static_cast<double>(step) / static_cast<double>(steps_);
    const double height = (1 + detail::cosine(std::numbers::pi * progress)) / 2;
    return static_cast<float>(initial_ * (fraction_ + (1 - fraction_) * height));
  }

 private:
  double initial_, fraction_;
  Index steps_;
};

/// `first` for the steps below `boundary`, then `second`, which counts its steps from there.
template <Schedule First, Schedule Second>
class JoinedSchedule {
 public:
  constexpr JoinedSchedule(First first, Index boundary, Second second)
      : first_{first}, boundary_{detail::checked_steps(boundary)}, second_{second} {}

  constexpr float operator()(Index step) const {
    return static_cast<float>(step < boundary_ ? first_(step) : second_(step - boundary_));
  }

 private:
  First first_;
  Index boundary_;
  Second second_;
};

/// The numbers of `warmup_cosine`; the defaults are Gopher's.
struct WarmupCosineOptions {
  double peak;
  Index total_steps;
  double initial = 1e-7;
  Index warmup_steps = 1500;
  double final_fraction = 0.1;
};

/// Linear warm-up from `initial` to `peak`, then a cosine from there down to `final_fraction * peak` at step
/// `total_steps` (Rae et al. 2021, section 3.1). Throws ValueError when the warm-up is longer than the whole.
constexpr auto warmup_cosine(const WarmupCosineOptions& options) {
  if (options.warmup_steps > options.total_steps)
    throw ValueError("warmup_cosine: the warm-up is longer than the whole schedule");
  return JoinedSchedule{
      LinearSchedule{options.initial, options.peak, options.warmup_steps}, options.warmup_steps,
      CosineSchedule{options.peak, options.final_fraction, options.total_steps - options.warmup_steps}};
}

}  // namespace burrow
