// Vector norms along static axes: Euclidean, L1 and maximum norm.
#pragma once

#include <burrow/ops/statistics/statistics.hpp>

namespace burrow {

/// Euclidean norm sqrt(sum(x^2)) over the given axes (all by default), or with `keep_axes` over axes that
/// stay with extent 1. bf16 is computed in fp32. Gradient: dx = x dy / y, and 0 where y is 0.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto norm(const E& e, Keep... keep) {
  using C = compute_type<element_of<E>>;
  return materialize(cast<element_of<E>>(detail::root(sum<Axes...>(square(cast<C>(e)), keep...))));
}

/// Sum of absolute values, as `norm`. Gradient: dx = sign(x) dy.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto l1_norm(const E& e,
                                                                                     Keep... keep) {
  return sum<Axes...>(abs(e), keep...);
}

/// Largest absolute value, as `norm`; 0 of nothing. The gradient is shared by the elements that reach it.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto max_norm(const E& e,
                                                                                      Keep... keep) {
  const auto largest = max<Axes...>(abs(e), keep...);
  return materialize(where(largest < 0, 0, largest));
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct norm;
struct l1_norm;
struct max_norm;
}  // namespace operation

template <int... Axes, Expression E, class... Arguments>
auto norm(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::norm, true, E, void(Arguments...), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto l1_norm(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::l1_norm, true, E, void(Arguments...), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto max_norm(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::max_norm, true, E, void(Arguments...), Axes...>;

}  // namespace burrow
