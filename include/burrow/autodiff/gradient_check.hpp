// Gradient check: compares the gradients of reverse mode with central differences in double precision.
#pragma once

#include <cmath>
#include <string>
#include <tuple>

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

/// Derivative of the weighted outputs along element `i` of argument I: the five-point central difference,
/// whose error is of fourth order in the step. The step balances that error against rounding.
template <std::size_t I, class F, class... X>
double difference_quotient(const F& f, std::tuple<X...> x, Index i) {
  auto& argument = std::get<I>(x);
  const double center = argument.data()[i];
  const double step = 1e-4 * std::max(1.0, std::abs(center));
  const auto outputs = [&](double offset) {
    argument.data()[i] = center + offset;
    return materialize(std::apply(f, std::as_const(x)));
  };
  const auto above = outputs(step), below = outputs(-step);
  const auto far_above = outputs(2 * step), far_below = outputs(-2 * step);
  const auto difference = [](const auto& a, const auto& b, Index j) {
    return static_cast<double>(a.data()[j]) - static_cast<double>(b.data()[j]);
  };
  double sum = 0;
  for (Index j = 0; j < above.size(); ++j)
    sum += output_weight(j) * (8 * difference(above, below, j) - difference(far_above, far_below, j));
  return sum / (12 * step);
}

template <std::size_t I, class F, class G, class... X>
GradientMismatch worst_of_argument(const F& f, const G& gradient, const std::tuple<X...>& x) {
  GradientMismatch worst;
  for (Index i = 0; i < gradient.size(); ++i) {
    const double reverse = gradient.data()[i];
    const double differences = difference_quotient<I>(f, x, i);
    worst.meet({std::abs(reverse - differences) / (1 + std::abs(differences)), I, i, reverse, differences});
  }
  return worst;
}

template <class F, class... X>
GradientMismatch worst_gradient(const F& f, const X&... x) {
  static_assert((std::same_as<element_of<X>, double> || ...),
                "gradient_error: no argument has elements of type double");
  const std::tuple arguments{x...};
  Tape tape;
  const std::tuple watched{tape.watch(x)...};
  const auto result = std::apply(f, watched);
  static_assert(Traced<decltype(result)>, "gradient_error: the result does not depend on the arguments");
  const auto y = materialize(result);
  Tensor<element_of<decltype(y)>, shape_of<decltype(y)>> seed{y.shape()};
  for (Index i = 0; i < seed.size(); ++i)
    seed.data()[i] = static_cast<element_of<decltype(y)>>(output_weight(i));
  tape.backward(y, seed);
  GradientMismatch worst;
  const auto check = [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
    if constexpr (std::same_as<element_of<decltype(std::get<I>(watched))>, double>)
      worst.meet(worst_of_argument<I>(f, tape.gradient(std::get<I>(watched)), arguments));
  };
  [&]<std::size_t... I>(std::index_sequence<I...>) { (check(std::integral_constant<std::size_t, I>{}), ...); }
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
