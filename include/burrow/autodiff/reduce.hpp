// Reductions of traced expressions. The forward pass fuses the chain into the reduction; the backward pass
// pushes the broadcast gradient through the same chain.
#pragma once

#include <burrow/autodiff/trace.hpp>
#include <burrow/tensor/indexing.hpp>
#include <burrow/tensor/reduce.hpp>

namespace burrow {

namespace detail {

/// An expression with its leaves replaced by plain views.
template <class N>
auto untraced(const N& node) {
  if constexpr (is_scalar_node<N>)
    return node;
  else if constexpr (N::is_leaf)
    return node.view();
  else
    return detail::apply(
        [&](const auto&... a) {
          return Map<typename N::function_type, decltype(untraced(a))...>{node.function(), untraced(a)...};
        },
        node.arguments());
}

/// A reduced value seen with the shape that keeps the reduced axes.
template <class S, int... Axes, class G>
auto with_kept_axes(const G& g, const S& shape) {
  return View<element_of<G>, ShapeOf<kept<S, Axes...>>, device_of<G>>{
      Buffer<device_of<G>>{g.leaf().storage()}, const_cast<element_of<G>*>(g.data()),
      kept_shape<S, Axes...>(shape)};
}

}  // namespace detail

template <int... Axes, Traced E, std::same_as<KeepAxes>... Keep>
requires detail::ValidAxes<shape_of<E>, Axes...>
auto sum(const E& e, Keep... keep) {
  const auto tape = tape_of(e);
  const auto& node = detail::as_node(e);
  const auto value = sum<Axes...>(detail::untraced(node), keep...);
  return record(
      tape, "sum", value,
      [node](const auto& dy) {
        add_gradient(node, detail::with_kept_axes<shape_of<E>, Axes...>(dy, node.shape()));
      },
      node);
}

template <int... Axes, Traced E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto mean(const E& e, Keep... keep) {
  const auto tape = tape_of(e);
  const auto& node = detail::as_node(e);
  const auto value = mean<Axes...>(detail::untraced(node), keep...);
  using C = compute_type<element_of<E>>;
  const C share = C(1) / static_cast<C>(detail::reduced_count<shape_of<E>, Axes...>(e.shape()));
  return record(
      tape, "mean", value,
      [node, share](const auto& dy) {
        add_gradient(node, detail::with_kept_axes<shape_of<E>, Axes...>(dy, node.shape()) * share);
      },
      node);
}

/// Largest element along axes; the gradient is shared equally by the elements that reach it.
template <int... Axes, Traced E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto max(const E& e, Keep... keep) {
  const auto tape = tape_of(e);
  using C = compute_type<element_of<E>>;
  const auto& node = detail::as_node(e);
  const auto value = max<Axes...>(detail::untraced(node), keep...);
  return record(
      tape, "max", value,
      [node, value](const auto& dy) {
        const auto reached =
            detail::untraced(node) == detail::with_kept_axes<shape_of<E>, Axes...>(value, node.shape());
        const auto ties = sum<Axes...>(cast<C>(reached), keep_axes);
        add_gradient(
            node, where(reached, detail::with_kept_axes<shape_of<E>, Axes...>(dy, node.shape()) / ties, 0));
      },
      node);
}

template <int... Axes, Traced E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto min(const E& e, Keep... keep) {
  return materialize(-max<Axes...>(-e, keep...));
}

template <int... Axes, Traced E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto prod(const E& e, Keep... keep) {
  const auto tape = tape_of(e);
  using C = compute_type<element_of<E>>;
  const auto& node = detail::as_node(e);
  const auto value = prod<Axes...>(detail::untraced(node), keep...);
  return record(
      tape, "prod", value,
      [node](const auto& dy) {
        const auto x = cast<C>(detail::untraced(node));
        const auto zero = cast<C>(x == 0);
        const auto zeros = sum<Axes...>(zero, keep_axes);
        const auto nonzero = where(x == 0, 1, x);
        const auto product = prod<Axes...>(nonzero, keep_axes);
        const auto others = where(zeros == zero, product / nonzero, 0);  // the other elements' product
        add_gradient(node, cast<C>(detail::with_kept_axes<shape_of<E>, Axes...>(dy, node.shape())) * others);
      },
      node);
}

namespace detail {
/// The value of a reduction that has no gradient, carrying the tape of what was reduced.
template <class E, class Reduction>
auto without_gradient(const E& e, const char* name, const Reduction& reduction) {
  const auto tape = tape_of(e);
  return record(
      tape, name, reduction(untraced(to_node(e))), [](const auto&) {}, e);
}
}  // namespace detail

template <int... Axes, Traced E, std::same_as<KeepAxes>... Keep>
requires detail::ValidAxes<shape_of<E>, Axes...>
auto count_nonzero(const E& e, Keep... keep) {
  return detail::without_gradient(e, "count_nonzero",
                                  [&](const auto& x) { return count_nonzero<Axes...>(x, keep...); });
}

template <int... Axes, Traced E, std::same_as<KeepAxes>... Keep>
requires detail::ValidAxes<shape_of<E>, Axes...>
auto any(const E& e, Keep... keep) {
  return detail::without_gradient(e, "any", [&](const auto& x) { return any<Axes...>(x, keep...); });
}

template <int... Axes, Traced E, std::same_as<KeepAxes>... Keep>
requires detail::ValidAxes<shape_of<E>, Axes...>
auto all(const E& e, Keep... keep) {
  return detail::without_gradient(e, "all", [&](const auto& x) { return all<Axes...>(x, keep...); });
}

}  // namespace burrow
