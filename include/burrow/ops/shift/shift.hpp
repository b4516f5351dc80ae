// Elements moved along an axis: roll, and the differences of neighbours.
#pragma once

#include <burrow/ops/concatenate/concatenate.hpp>
#include <burrow/tensor/indexing.hpp>

namespace burrow {

/// x moved by `shift` places along an axis; what leaves at one end comes in at the other: y_k = x_{k -
/// shift}. Of x's shape. Gradient: dy moved back.
template <int Axis, Expression X>
requires detail::HasAxis<shape_of<X>, Axis>
auto roll(const X& x, Index shift, Location where = Location::here()) {
  const auto in = operand(tape_of(x), x);
  const Index extent = in.shape()[Axis];
  const Index first = extent == 0 ? 0 : (extent - shift % extent) % extent;
  return materialize(
      reshape(concatenate<Axis>(slice<Axis>(in, first, extent - first), slice<Axis>(in, 0, first)),
              in.shape(), where));
}

namespace detail {
template <class S, int Axis>
inline constexpr Index one_fewer = S::extents[axis_of<S, Axis>] == dyn
                                       ? dyn
                                       : std::max<Index>(S::extents[axis_of<S, Axis>] - 1, 0);
}  // namespace detail

/// y_k = x_{k + 1} - x_k along an axis, lazily; the extent is one fewer there.
template <int Axis = -1, Expression X>
requires detail::HasAxis<shape_of<X>, Axis>
auto diff(const X& x, Location where = Location::here()) {
  constexpr Index length = detail::one_fewer<shape_of<X>, Axis>;
  const auto in = operand(tape_of(x), x);
  const Index count = std::max<Index>(in.shape()[Axis] - 1, 0);
  return slice<Axis, length>(in, in.shape()[Axis] - count, count, where) -
         slice<Axis, length>(in, 0, count, where);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct roll;
struct diff;
}  // namespace operation
template <int Axis, Expression X>
requires(!detail::HasAxis<shape_of<X>, Axis>)
    misuse::axes_do_not_fit<operation::roll, shape_of<X>, Axis> roll(const X&, Index, Location = {});
template <int Axis = -1, Expression X>
requires(!detail::HasAxis<shape_of<X>, Axis>)
    misuse::axes_do_not_fit<operation::diff, shape_of<X>, Axis> diff(const X&, Location = {});

}  // namespace burrow
