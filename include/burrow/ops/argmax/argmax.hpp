// Positions of the largest and the smallest elements: argmax and argmin.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/argmax/cpu.hpp>

namespace burrow {

namespace detail {

/// Positions along one axis, or in row-major order of all elements, with or without the reduced axes.
template <class Op, int... Axis, class E, class... Keep>
auto positions_of(const char* name, const E& e, Location where, Keep...) {
  using D = device_of<E>;
  const auto find = [&](const auto& operand) {
    const auto in = materialize(operand);
    Lines lines{1, in.size(), 1};
    if constexpr (sizeof...(Axis) > 0) lines = lines_along<Axis...>(in.shape());
    if (lines.extent == 0)
      throw ShapeError(std::string(name) + ": " + in.shape().text() + " has no elements to choose from" +
                       at(where));
    const auto into = [&]<class S>(const S& shape) {
      Tensor<std::int64_t, S, D> positions{shape};
      chosen_positions<Op>(D{}, lines, std::as_const(in).data(), positions.data());
      return positions;
    };
    if constexpr (sizeof...(Keep) > 0)
      return into(kept_shape<shape_of<E>, Axis...>(in.shape()));
    else
      return into(dropped_shape<shape_of<E>, Axis...>(in.shape()));
  };
  return without_gradient(e, name, find);
}

}  // namespace detail

/// Position of the largest element along one axis, or of all elements in row-major order where no axis is
/// given, as int64; the first of equal ones, and the first NaN before all numbers, as in NumPy. With
/// `keep_axes` reduced axes stay with extent 1. Throws ShapeError where there is no element. There is no
/// gradient.
template <int... Axis, Expression E>
requires(sizeof...(Axis) <= 1 &&
         detail::ValidAxes<shape_of<E>, Axis...>) auto argmax(const E& e, Location where = Location::here()) {
  return detail::positions_of<detail::MaximumOf, Axis...>("argmax", e, where);
}
template <int... Axis, Expression E>
requires(sizeof...(Axis) <= 1 &&
         detail::ValidAxes<shape_of<E>, Axis...>) auto argmax(const E& e, KeepAxes keep,
                                                              Location where = Location::here()) {
  return detail::positions_of<detail::MaximumOf, Axis...>("argmax", e, where, keep);
}

/// Position of the smallest element, as `argmax`.
template <int... Axis, Expression E>
requires(sizeof...(Axis) <= 1 &&
         detail::ValidAxes<shape_of<E>, Axis...>) auto argmin(const E& e, Location where = Location::here()) {
  return detail::positions_of<detail::MinimumOf, Axis...>("argmin", e, where);
}
template <int... Axis, Expression E>
requires(sizeof...(Axis) <= 1 &&
         detail::ValidAxes<shape_of<E>, Axis...>) auto argmin(const E& e, KeepAxes keep,
                                                              Location where = Location::here()) {
  return detail::positions_of<detail::MinimumOf, Axis...>("argmin", e, where, keep);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct argmax;
struct argmin;
}  // namespace operation

template <int... Axes, Expression E, class... Arguments>
auto argmax(const E&, Arguments...) -> detail::ReductionMisuse<operation::argmax, false, E, void(), Axes...>;
template <int... Axes, Expression E, class... Arguments>
auto argmin(const E&, Arguments...) -> detail::ReductionMisuse<operation::argmin, false, E, void(), Axes...>;

}  // namespace burrow
