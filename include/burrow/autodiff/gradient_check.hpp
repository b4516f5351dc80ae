// Gradient check: compares the gradients of reverse mode with central differences in double precision.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include <burrow/autodiff/trace.hpp>
#include <burrow/core/key.hpp>

namespace burrow {

namespace detail {

/// The element where a gradient and the differences disagree most.
struct GradientMismatch {
  double error = 0;
  std::size_t argument = 0;
  Index element = 0;
  double reverse = 0;
  double differences = 0;

  void meet(const GradientMismatch& other) {
    if (other.error > error || std::isnan(other.error)) *this = other;
  }
};

/// The weight with which an output counts in the number that is differentiated.
inline double output_weight(Index i) {
  return static_cast<double>(Key{0x67726164}.normal(static_cast<std::uint64_t>(i)));
}

template <class X>
std::vector<double> numbers_of(const X& x) {
  std::vector<double> numbers(static_cast<std::size_t>(x.size()));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<double>(x.data()[i]);
  return numbers;
}

/// The outputs of a function without its types; it outlives this.
class OutputNumbers {
 public:
  template <class F>
  explicit OutputNumbers(const F& f)
      : function_{&f}, call_{[](const void* function) { return (*static_cast<const F*>(function))(); }} {}
  std::vector<double> operator()() const { return call_(function_); }

 private:
  const void* function_;
  std::vector<double> (*call_)(const void*);
};

/// Derivative of the weighted outputs along x, which they depend on: the five-point central difference, whose
/// error is of fourth order in the step. The step balances that error against rounding.
inline double difference_quotient(const OutputNumbers& outputs, double& x) {
  const double center = x;
  const double step = 1e-4 * std::max(1.0, std::abs(center));
  const auto outputs_at = [&](double offset) {
    x = center + offset;
    return outputs();
  };
  const auto above = outputs_at(step), below = outputs_at(-step);
  const auto far_above = outputs_at(2 * step), far_below = outputs_at(-2 * step);
  x = center;
  double sum = 0;
  for (std::size_t j = 0; j < above.size(); ++j)
    sum += output_weight(static_cast<Index>(j)) * (8 * (above[j] - below[j]) - (far_above[j] - far_below[j]));
  return sum / (12 * step);
}

inline GradientMismatch worst_of_argument(const OutputNumbers& outputs, std::size_t argument, double* x,
                                          const std::vector<double>& gradient) {
  GradientMismatch worst;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double reverse = gradient[i];
    const double differences = difference_quotient(outputs, x[i]);
    worst.meet({std::abs(reverse - differences) / (1 + std::abs(differences)), argument,
                static_cast<Index>(i), reverse, differences});
  }
  return worst;
}

/// Sweeps from y, with fixed weights times `factor` as its gradient, rounded to what T holds.
template <class T = double, class Y>
void sweep_weighted(Tape& tape, const Y& y, double factor = 1) {
  Tensor<element_of<Y>, shape_of<Y>> seed{y.shape()};
  for (Index i = 0; i < seed.size(); ++i)
    seed.data()[i] = static_cast<element_of<Y>>(static_cast<T>(factor * output_weight(i)));
  tape.backward(y, seed);
}

template <class F, class... X>
GradientMismatch worst_gradient(const F& f, const X&... x) {
  static_assert((std::same_as<element_of<X>, double> || ...),
                "gradient_error: no argument has elements of type double");
  Tape tape;
  const Tuple<decltype(tape.watch(x))...> watched{tape.watch(x)...};
  const auto result = detail::apply(f, watched);
  static_assert(Traced<decltype(result)>, "gradient_error: the result does not depend on the arguments");
  sweep_weighted(tape, materialize(result));
  Tuple<X...> moved{x...};
  const auto compute = [&] { return numbers_of(materialize(detail::apply(f, std::as_const(moved)))); };
  GradientMismatch worst;
  const auto check = [&](std::size_t argument, const auto& variable, auto& values) {
    if constexpr (std::same_as<element_of<decltype(variable)>, double>)
      worst.meet(worst_of_argument(OutputNumbers{compute}, argument, values.data(),
                                   numbers_of(tape.gradient(variable))));
  };
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (check(I, detail::get<I>(watched), detail::get<I>(moved)), ...);
  }
  (std::index_sequence_for<X...>{});
  return worst;
}

}  // namespace detail

/// The largest relative error |g - n| / (1 + |n|) over all elements of all arguments of type double, where g
/// is the gradient of reverse mode and n comes from differences in double precision (five points, 1e-4 apart
/// relative to max(1, |x|)). f takes the tensors x, watched or not, and returns an expression of any shape;
/// all its elements are summed with fixed random weights. Integer arguments are handed through. A correct
/// gradient of a smooth function has an error below 1e-9; within two steps of a kink (relu at 0) differences
/// mean nothing.
template <class F, class... X>
double gradient_error(const F& f, const X&... x) {
  return detail::worst_gradient(f, x...).error;
}

/// Throws Error that names the argument and the element where `gradient_error` is above 1e-6.
template <class F, class... X>
void check_gradient(const F& f, const X&... x) {
  const auto worst = detail::worst_gradient(f, x...);
  if (worst.error <= 1e-6) return;
  throw Error("check_gradient: the gradient of element " + std::to_string(worst.element) +
              " (row-major) of argument " + std::to_string(worst.argument) + " is " +
              std::to_string(worst.reverse) + ", but differences give " + std::to_string(worst.differences));
}

}  // namespace burrow
