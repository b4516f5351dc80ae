// Quantiles and the median, from sorted elements.
#pragma once

#include <burrow/ops/sort/sort.hpp>

namespace burrow {

namespace detail {

/// Throws where q is no share, or where there is nothing to choose from.
inline void check_quantile(double q, Index extent, Location where) {
  if (!(q >= 0 && q <= 1))
    throw ValueError("quantile: " + std::to_string(q) + " is not in [0, 1]" + at(where));
  if (extent == 0) throw ShapeError("quantile: there are no elements" + at(where));
}

template <int Axis, class X>
auto quantile_along(const X& x, double q, Location at_call) {
  using T = element_of<X>;
  using C = compute_type<T>;
  const Index last = x.shape()[Axis] - 1;
  check_quantile(q, last + 1, at_call);
  const double place = q * static_cast<double>(last);
  const auto below = static_cast<Index>(place);
  const auto sorted = sort<Axis>(x);
  const auto pick = [&](Index k) { return cast<C>(burrow::at<Axis>(sorted, std::min(k, last))); };
  const auto low = pick(below), high = pick(below + 1), largest = pick(last);
  const auto between = low + static_cast<C>(place - static_cast<double>(below)) * (high - low);
  // Two infinities have no difference, and NaN is last.
  return materialize(cast<T>(where(largest == largest, where(low == high, low, between), largest)));
}

template <class X, int... Axis>
concept QuantilesOf = Expression<X> && Real<element_of<X>> && sizeof...(Axis) <= 1 &&
                      (HasAxis<shape_of<X>, Axis> && ...);

/// What is wrong with an operand: its axis, or its elements.
template <class Operation, class X, int... Axis>
using QuantileMisuse =
    std::conditional_t<Real<element_of<X>>, misuse::axes_do_not_fit<Operation, shape_of<X>, Axis...>,
                       misuse::element_types_are_refused<Operation, element_of<X>>>;

}  // namespace detail

/// The q-quantile of the elements along one axis, or of all where none is given: element q (n - 1) of the n
/// sorted ones, linearly between two of them, as NumPy's default. NaN where one element is NaN. half and bf16
/// are computed in float. Throws ValueError where q is not in [0, 1], ShapeError where there is no element.
/// Gradient: dy to the one or two elements, in their shares.
template <int... Axis, Expression X>
requires detail::QuantilesOf<X, Axis...>
auto quantile(const X& x, double q, Location where = Location::here()) {
  if constexpr (sizeof...(Axis) == 0)
    return detail::quantile_along<0>(flatten(x), q, where);
  else
    return detail::quantile_along<Axis...>(operand(tape_of(x), x), q, where);
}

/// The 1/2-quantile: the middle element, or the mean of the two middle ones.
template <int... Axis, Expression X>
requires detail::QuantilesOf<X, Axis...>
auto median(const X& x, Location where = Location::here()) { return quantile<Axis...>(x, 0.5, where); }

// What does not fit; see core/misuse.hpp.
namespace operation {
struct quantile;
struct median;
}  // namespace operation
template <int... Axis, Expression X>
requires(!detail::QuantilesOf<X, Axis...>) auto quantile(const X&, double, Location = {})
    -> detail::QuantileMisuse<operation::quantile, X, Axis...>;
template <int... Axis, Expression X>
requires(!detail::QuantilesOf<X, Axis...>) auto median(const X&, Location = {})
    -> detail::QuantileMisuse<operation::median, X, Axis...>;

}  // namespace burrow
