// Schedules: constexpr values that are called with a step (0 is the first) and give the learning rate there.
// They compose: `first.then(step, next)`, `0.5 * schedule`, `warmup(steps, schedule)`.
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

constexpr Index checked_steps(Index steps, Location where) {
  if (steps < 0) throw ValueError("schedule: a number of steps is negative" + at(where));
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

/// x to the power of n >= 0, in about log2(n) products; the same bits at compile time.
constexpr double power(double x, Index n) {
  double result = 1;
  for (; n > 0; n /= 2, x *= x)
    if (n % 2 == 1) result *= x;
  return result;
}

/// The square root of x >= 0, by Newton's method from above; the same bits at compile time.
constexpr double square_root(double x) {
  if (!(x > 0)) return 0;
  double root = x > 1 ? x : 1, next = (root + x / root) / 2;
  while (next < root) {
    root = next;
    next = (root + x / root) / 2;
  }
  return root;
}

}  // namespace detail

template <Schedule First, Schedule Second>
class JoinedSchedule;
template <Schedule S>
class ScaledSchedule;

/// What every schedule S can do besides being called.
template <class S>
class Composable {
 public:
  /// This schedule for the steps below `step`, then `next`, which counts its steps from there.
  template <class Next>
  constexpr auto then(Index step, const Next& next, Location where = Location::here()) const {
    return JoinedSchedule<S, Next>{static_cast<const S&>(*this), step, next, where};
  }

  friend constexpr auto operator*(const S& schedule, double factor) {
    return ScaledSchedule<S>{schedule, factor};
  }
  friend constexpr auto operator*(double factor, const S& schedule) {
    return ScaledSchedule<S>{schedule, factor};
  }
};

/// The same value at every step.
class ConstantSchedule : public Composable<ConstantSchedule> {
 public:
  constexpr explicit ConstantSchedule(double value) : value_{value} {}
  constexpr float operator()(Index) const { return static_cast<float>(value_); }

 private:
  double value_;
};

/// From `initial` at step 0 along a straight line to `final` at step `steps`, and `final` ever after.
class LinearSchedule : public Composable<LinearSchedule> {
 public:
  constexpr LinearSchedule(double initial, double final, Index steps, Location where = Location::here())
      : initial_{initial}, final_{final}, steps_{detail::checked_steps(steps, where)} {}

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
class CosineSchedule : public Composable<CosineSchedule> {
 public:
  constexpr CosineSchedule(double initial, double fraction, Index steps, Location where = Location::here())
      : initial_{initial}, fraction_{fraction}, steps_{detail::checked_steps(steps, where)} {}

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

/// `initial / sqrt(1 + step / steps)`: after a warm-up of `steps` steps, `initial` times the root of the
/// warm-up's share of all steps (Vaswani et al. 2017).
class InverseSquareRootSchedule : public Composable<InverseSquareRootSchedule> {
 public:
  /// Throws ValueError unless steps > 0.
  constexpr InverseSquareRootSchedule(double initial, Index steps, Location where = Location::here())
      : initial_{initial}, steps_{steps} {
    if (steps <= 0)
      throw ValueError("InverseSquareRootSchedule: the number of steps is not positive" + at(where));
  }

  constexpr float operator()(Index step) const {
    return static_cast<float>(
        initial_ / detail::square_root(1 + static_cast<double>(step) / static_cast<double>(steps_)));
  }

 private:
  double initial_;
  Index steps_;
};

/// `initial` times `factor` to the power of step / every, rounded down: a staircase, or with `every` = 1 an
/// exponential decay.
class ExponentialSchedule : public Composable<ExponentialSchedule> {
 public:
  /// Throws ValueError unless factor >= 0 and every > 0.
  constexpr ExponentialSchedule(double initial, double factor, Index every = 1,
                                Location where = Location::here())
      : initial_{initial}, factor_{factor}, every_{every} {
    if (!(factor >= 0) || every <= 0)
      throw ValueError("ExponentialSchedule: the factor is negative or the number of steps not positive" +
                       at(where));
  }

  constexpr float operator()(Index step) const {
    return static_cast<float>(initial_ * detail::power(factor_, step / every_));
  }

 private:
  double initial_, factor_;
  Index every_;
};

/// A schedule's values times a factor.
template <Schedule S>
class ScaledSchedule : public Composable<ScaledSchedule<S>> {
 public:
  constexpr ScaledSchedule(S schedule, double factor) : schedule_{schedule}, factor_{factor} {}

  constexpr float operator()(Index step) const {
    return static_cast<float>(factor_ * static_cast<double>(schedule_(step)));
  }

 private:
  S schedule_;
  double factor_;
};

/// `first` for the steps below `boundary`, then `second`, which counts its steps from there.
template <Schedule First, Schedule Second>
class JoinedSchedule : public Composable<JoinedSchedule<First, Second>> {
 public:
  constexpr JoinedSchedule(First first, Index boundary, Second second, Location where = Location::here())
      : first_{first}, boundary_{detail::checked_steps(boundary, where)}, second_{second} {}

  constexpr float operator()(Index step) const {
    return static_cast<float>(step < boundary_ ? first_(step) : second_(step - boundary_));
  }

 private:
  First first_;
  Index boundary_;
  Second second_;
};

/// A line from `initial` to the schedule's first value over `steps` steps, then the schedule from its start.
template <Schedule S>
constexpr auto warmup(Index steps, const S& schedule, double initial = 0, Location where = Location::here()) {
  return LinearSchedule{initial, static_cast<double>(schedule(0)), steps, where}.then(steps, schedule, where);
}

/// The numbers of `warmup_cosine`; the defaults are Gopher's.
struct WarmupCosineOptions {
  double peak;                  ///< the rate at the end of the warm-up
  Index total_steps;            ///< with those of the warm-up
  double initial = 1e-7;        ///< the rate at step 0
  Index warmup_steps = 1500;    ///< from `initial` to `peak`
  double final_fraction = 0.1;  ///< of `peak`, from step `total_steps` on
};

/// Linear warm-up from `initial` to `peak`, then a cosine from there down to `final_fraction * peak` at step
/// `total_steps` (Rae et al. 2021, section 3.1). Throws ValueError when the warm-up is longer than the whole.
constexpr auto warmup_cosine(const WarmupCosineOptions& options, Location where = Location::here()) {
  if (options.warmup_steps > options.total_steps)
    throw ValueError("warmup_cosine: the warm-up is longer than the whole schedule" + at(where));
  return LinearSchedule{options.initial, options.peak, options.warmup_steps, where}.then(
      options.warmup_steps,
      CosineSchedule{options.peak, options.final_fraction, options.total_steps - options.warmup_steps, where},
      where);
}

}  // namespace burrow
