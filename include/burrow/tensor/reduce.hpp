// Reductions along static axes: sum, mean, max, min. The elementwise chain before a reduction is fused into
// it.
#pragma once

#include <burrow/tensor/accumulate.hpp>
#include <burrow/tensor/functions.hpp>
#include <burrow/tensor/tensor.hpp>

namespace burrow {

/// Keeps a reduced axis with extent 1: `sum<1>(x, keep_axes)`.
struct KeepAxes {};
inline constexpr KeepAxes keep_axes{};

namespace detail {

template <int Rank, int... Axes>
constexpr auto reduced_axes() {
  std::array<bool, static_cast<std::size_t>(Rank)> reduced{};
  if constexpr (sizeof...(Axes) == 0)
    reduced.fill(true);
  else
    ((reduced[static_cast<std::size_t>(Axes < 0 ? Axes + Rank : Axes)] = true), ...);
  return reduced;
}

template <class S, int... Axes>
struct kept {
  static constexpr auto reduced = reduced_axes<S::rank, Axes...>();
  static constexpr auto extents = [] {
    auto result = S::extents;
    for (std::size_t i = 0; i < result.size(); ++i)
      if (reduced[i]) result[i] = 1;
    return result;
  }();
};

template <class S, int... Axes>
struct dropped {
  static constexpr auto reduced = reduced_axes<S::rank, Axes...>();
  static constexpr std::size_t rank = [] {
    std::size_t count = 0;
    for (const bool r : reduced) count += r ? 0 : 1;
    return count;
  }();
  static constexpr auto select(const std::array<Index, S::extents.size()>& values) {
    std::array<Index, rank> result{};
    std::size_t to = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!reduced[i]) result[to++] = values[i];
    return result;
  }
  static constexpr auto extents = select(S::extents);
};

/// The shape with the reduced axes at extent 1.
template <class S, int... Axes>
auto kept_shape(const S& shape) {
  using Result = ShapeOf<kept<S, Axes...>>;
  auto values = shape.values();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (kept<S, Axes...>::reduced[i]) values[i] = 1;
  return Result{values};
}

/// The shape without the reduced axes.
template <class S, int... Axes>
auto dropped_shape(const S& shape) {
  return ShapeOf<dropped<S, Axes...>>{dropped<S, Axes...>::select(shape.values())};
}

/// Product of the reduced extents.
template <class S, int... Axes>
Index reduced_count(const S& shape) {
  return kept_shape<S, Axes...>(shape).size() == 0 ? 0 : shape.size() / kept_shape<S, Axes...>(shape).size();
}

template <class S, int... Axes>
concept ValidAxes = ((Axes >= -S::rank && Axes < S::rank) && ...);

template <class Op, int... Axes, class E, class Result>
auto reduced_into(const E& e, Result result) {
  const auto node = to_node(e);
  check_untraced(node);
  reduce<Op>(device_of<E>{}, node, kept_shape<shape_of<E>, Axes...>(e.shape()), result.data());
  return result;
}

/// Evaluates a reduction to a tensor, with or without the reduced axes.
template <class Op, class T, int... Axes, class E, class... Keep>
auto reduced(const E& e, Keep...) {
  if constexpr (sizeof...(Keep) > 0) {
    const auto shape = kept_shape<shape_of<E>, Axes...>(e.shape());
    return reduced_into<Op, Axes...>(e, Tensor<T, std::remove_const_t<decltype(shape)>, device_of<E>>{shape});
  } else {
    const auto shape = dropped_shape<shape_of<E>, Axes...>(e.shape());
    return reduced_into<Op, Axes...>(e, Tensor<T, std::remove_const_t<decltype(shape)>, device_of<E>>{shape});
  }
}

/// The element type of a sum: bool counts, and short integers do not overflow.
template <class T>
using sum_type = std::conditional_t<std::is_integral_v<T> && (sizeof(T) < 4), std::int64_t, T>;

}  // namespace detail

/// Sum over the given axes (all of them by default; negative axes count from the end), or with `keep_axes`
/// over axes that stay with extent 1. A sum over bool counts, and one over uint8 or uint16 is int64. bf16
/// accumulates in fp32. The order of summation is fixed.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...>) auto sum(const E& e, Keep... keep) {
  using T = detail::sum_type<element_of<E>>;
  const auto source = cast<T>(e);
  return detail::reduced<detail::SumOf, T, Axes...>(source, keep...);
}

/// Mean over the given axes, as `sum`.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...> &&
         Real<element_of<E>>) auto mean(const E& e, Keep... keep) {
  using T = element_of<E>;
  const auto count = detail::reduced_count<shape_of<E>, Axes...>(e.shape());
  const auto source = cast<compute_type<T>>(e) * (compute_type<T>(1) / static_cast<compute_type<T>>(count));
  return detail::reduced<detail::SumOf, T, Axes...>(source, keep...);
}

/// Largest element along the given axes, as `sum`.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...>) auto max(const E& e, Keep... keep) {
  return detail::reduced<detail::MaximumOf, element_of<E>, Axes...>(detail::to_node(e), keep...);
}

/// Smallest element along the given axes, as `sum`.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...>) auto min(const E& e, Keep... keep) {
  return detail::reduced<detail::MinimumOf, element_of<E>, Axes...>(detail::to_node(e), keep...);
}

}  // namespace burrow
