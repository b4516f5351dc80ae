// Variance and standard deviation along static axes, in two passes: about the mean of the data, not by the
// difference of squares.
#pragma once

#include <burrow/autodiff/reduce.hpp>

namespace burrow {

/// What is taken from the number of elements before it divides: `Correction{1}` is Bessel's, for a sample.
struct Correction {
  Index value = 0;
};

namespace detail {

/// The square root, with slope 0 at 0.
template <class E>
auto root(const E& x) {
  return where(x == 0, 0, sqrt(where(x == 0, 1, x)));
}

/// The variance in the type that elements are computed in. The mean has no part in the gradient, for the
/// deviations from it sum to zero.
template <int... Axes, class E, class... Keep>
auto wide_variance(const E& e, Correction correction, Keep... keep) {
  using C = compute_type<element_of<E>>;
  const auto x = to_node(cast<C>(e));
  const auto centre = mean<Axes...>(untraced(x), keep_axes);
  const Index count = reduced_count<shape_of<E>, Axes...>(e.shape()) - correction.value;
  return sum<Axes...>(square(x - centre), keep...) / static_cast<C>(std::max<Index>(count, 0));
}

}  // namespace detail

/// Mean square deviation from the mean over the given axes (all by default), or with `keep_axes` over axes
/// that stay with extent 1: sum((x - mean(x))^2) / (n - correction). NaN where n - correction is not
/// positive and the sum is 0, infinite where it is not 0. bf16 is computed in fp32.
/// Gradient: dx = 2 (x - mean(x)) dy / (n - correction).
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto variance(const E& e,
                                                                                      Correction correction,
                                                                                      Keep... keep) {
  return materialize(cast<element_of<E>>(detail::wide_variance<Axes...>(e, correction, keep...)));
}
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto variance(const E& e,
                                                                                      Keep... keep) {
  return variance<Axes...>(e, Correction{}, keep...);
}

/// Square root of the variance, as `variance`. Gradient: dx = (x - mean(x)) dy / (y (n - correction)), and 0
/// where y is 0.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto standard_deviation(
    const E& e, Correction correction, Keep... keep) {
  const auto wide = materialize(detail::wide_variance<Axes...>(e, correction, keep...));
  return materialize(cast<element_of<E>>(detail::root(wide)));
}
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto standard_deviation(
    const E& e, Keep... keep) {
  return standard_deviation<Axes...>(e, Correction{}, keep...);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct variance;
struct standard_deviation;
}  // namespace operation

template <int... Axes, Expression E, class... Arguments>
auto variance(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::variance, true, E, void(), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto standard_deviation(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::standard_deviation, true, E, void(), Axes...>;

}  // namespace burrow
