// Reductions along static axes: sum, prod, mean, max, min, any, all, count_nonzero. The elementwise chain
// before a reduction is fused into it.
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

template <int Rank, int... Axes>
constexpr bool axes_fit() {
  std::array<bool, static_cast<std::size_t>(Rank + 1)> used{};
  for (const int axis : std::array<int, sizeof...(Axes) + 1>{Axes..., Rank}) {
    if (axis < -Rank || axis > Rank) return false;
    bool& seen = used[static_cast<std::size_t>(axis < 0 ? axis + Rank : axis)];
    if (seen) return false;
    seen = true;
  }
  return true;
}

/// Axes in [-rank, rank), each given once.
template <class S, int... Axes>
concept ValidAxes = axes_fit<S::rank, Axes...>();

/// What is wrong with a reduction of E over Axes, called with further arguments; without `type` where nothing
/// is.
template <class Operation, bool OfReals, class E, class Arguments, int... Axes>
struct reduction_misuse {};
template <class Operation, bool OfReals, class E, class Arguments, int... Axes>
requires(
    !ValidAxes<shape_of<E>, Axes...>) struct reduction_misuse<Operation, OfReals, E, Arguments, Axes...> {
  using type = misuse::axes_do_not_fit<Operation, shape_of<E>, Axes...>;
};
template <class Operation, class E, class Arguments, int... Axes>
requires(ValidAxes<shape_of<E>, Axes...> &&
         !Real<element_of<E>>) struct reduction_misuse<Operation, true, E, Arguments, Axes...> {
  using type = misuse::element_types_are_refused<Operation, element_of<E>>;
};
/// `sum(x, 1)`: axes are template arguments.
template <class Operation, bool OfReals, class E, class Argument, class... More, int... Axes>
requires(ValidAxes<shape_of<E>, Axes...> &&
         !std::same_as<Argument, KeepAxes>) struct reduction_misuse<Operation, OfReals, E,
                                                                    void(Argument, More...), Axes...> {
  using type = misuse::argument_is_refused<Operation, Argument>;
};
template <class Operation, bool OfReals, class E, class Arguments, int... Axes>
using ReductionMisuse = typename reduction_misuse<Operation, OfReals, E, Arguments, Axes...>::type;

template <class Op, int... Axes, class E, class Result, class Finish>
auto reduced_into(const E& e, Result result, const Finish& finish) {
  const auto& node = as_node(e);
  check_untraced(node);
  if (observed()) tell_beginning();
  reduce<Op>(device_of<E>{}, node, kept_shape<shape_of<E>, Axes...>(e.shape()), result.data(), finish);
  if (observed()) tell_value(Op::name, std::as_const(result), leaf_bytes(node));
  return result;
}

/// Evaluates a reduction to a tensor of what `finish` makes of the results, with or without the reduced axes.
template <class Op, class T, int... Axes, class E, class Finish, class... Keep>
auto finished_reduction(const E& e, const Finish& finish, Keep...) {
  const auto into = [&]<class S>(const S& shape) {
    return reduced_into<Op, Axes...>(e, Tensor<T, S, device_of<E>>{shape}, finish);
  };
  if constexpr (sizeof...(Keep) > 0)
    return into(kept_shape<shape_of<E>, Axes...>(e.shape()));
  else
    return into(dropped_shape<shape_of<E>, Axes...>(e.shape()));
}

// What finishes reductions, as types that kernels can take.
struct AsItIs {
  constexpr auto operator()(auto value) const { return value; }
};
template <class C>
struct DividedBy {
  C count;
  constexpr C operator()(C total) const { return total / count; }
};
struct IsAboveZero {
  constexpr bool operator()(auto value) const { return value > 0; }
};

template <class Op, class T, int... Axes, class E, class... Keep>
auto reduced(const E& e, Keep... keep) {
  return finished_reduction<Op, T, Axes...>(e, AsItIs{}, keep...);
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

/// Product over the given axes, as `sum`; the product of nothing is 1. Gradient: dx_i = dy times the product
/// of the other elements, zeros among them or not.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...>) auto prod(const E& e, Keep... keep) {
  using T = detail::sum_type<element_of<E>>;
  return detail::reduced<detail::ProductOf, T, Axes...>(cast<T>(e), keep...);
}

/// Mean over the given axes, as `sum`; the mean of nothing is NaN.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...> &&
         Real<element_of<E>>) auto mean(const E& e, Keep... keep) {
  using T = element_of<E>;
  using C = compute_type<T>;
  const auto count = static_cast<C>(detail::reduced_count<shape_of<E>, Axes...>(e.shape()));
  return detail::finished_reduction<detail::SumOf, T, Axes...>(detail::to_node(e),
                                                               detail::DividedBy<C>{count}, keep...);
}

/// Largest element along the given axes, as `sum`; NaN where one is NaN.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...>) auto max(const E& e, Keep... keep) {
  return detail::reduced<detail::MaximumOf, element_of<E>, Axes...>(detail::to_node(e), keep...);
}

/// Smallest element along the given axes, as `sum`; NaN where one is NaN.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...>) auto min(const E& e, Keep... keep) {
  return detail::reduced<detail::MinimumOf, element_of<E>, Axes...>(detail::to_node(e), keep...);
}

/// Number of elements along the given axes that are not zero (NaN is not), as int64.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...>) auto count_nonzero(const E& e, Keep... keep) {
  if constexpr (std::same_as<element_of<E>, bool>)
    return sum<Axes...>(e, keep...);
  else
    return sum<Axes...>(e != 0, keep...);
}

namespace detail {
/// 1 where an element is not zero, else 0, in a type in which the loop over e has full packets.
template <class E>
auto truth(const E& e) {
  using C = typename LoopOf<node_of<E>>::base;
  if constexpr (std::same_as<element_of<E>, bool>)
    return cast<C>(e);
  else
    return cast<C>(e != 0);
}
}  // namespace detail

/// Whether an element along the given axes is not zero, as bool; false of nothing.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...>) auto any(const E& e, Keep... keep) {
  return detail::finished_reduction<detail::MaximumOf, bool, Axes...>(detail::truth(e), detail::IsAboveZero{},
                                                                      keep...);
}

/// Whether all elements along the given axes are not zero, as bool; true of nothing.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(!Traced<E> && detail::ValidAxes<shape_of<E>, Axes...>) auto all(const E& e, Keep... keep) {
  return detail::finished_reduction<detail::MinimumOf, bool, Axes...>(detail::truth(e), detail::IsAboveZero{},
                                                                      keep...);
}

// What the reductions refuse.
namespace operation {
struct sum;
struct prod;
struct mean;
struct max;
struct min;
struct count_nonzero;
struct any;
struct all;
}  // namespace operation
template <int... Axes, Expression E, class... Arguments>
auto sum(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::sum, false, E, void(Arguments...), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto prod(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::prod, Traced<E>, E, void(Arguments...), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto mean(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::mean, true, E, void(Arguments...), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto max(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::max, Traced<E>, E, void(Arguments...), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto min(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::min, Traced<E>, E, void(Arguments...), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto count_nonzero(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::count_nonzero, false, E, void(Arguments...), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto any(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::any, false, E, void(Arguments...), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto all(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::all, false, E, void(Arguments...), Axes...>;

}  // namespace burrow
