// Tensors with a frame of one value.
#pragma once

#include <burrow/ops/parts.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/slicing.hpp>

namespace burrow {

namespace detail {

template <class S, int Axis, Index More>
struct Padded {
  static constexpr auto extents = [] {
    auto result = S::extents;
    Index& extent = result[axis_of<S, Axis>];
    extent = extent == dyn ? dyn : extent + More;
    return result;
  }();
};
template <class S>
struct AllOpen {
  static constexpr auto extents = [] {
    auto result = S::extents;
    result.fill(dyn);
    return result;
  }();
};

/// x inside a tensor of extents `To`, its first element at `start`.
template <int Gapless, class E, class To>
auto framed(const E& x, const To& shape, const std::array<Index, To::extents.size()>& start,
            element_of<E> value) {
  const auto tape = tape_of(x);
  const auto node = bound(tape, to_node(x));
  auto y = full<To, element_of<E>, device_of<E>>(value, shape);
  PartPlace<Gapless, To::extents.size()> place{0, row_major_strides(shape.values())};
  for (std::size_t i = 0; i < start.size(); ++i) place.offset += start[i] * place.strides[i];
  place.write(node, y);
  return record(
      tape, "pad", y, [node, place](const auto& dy) { place.add_gradient_of(node, dy); }, node);
}

}  // namespace detail

/// x with Before elements of `value` in front of it and After behind it along an axis: pad<0, 1, 2>(x).
/// Extents stay static. Gradient: that of the elements of x.
template <int Axis, Index Before, Index After, Expression E>
requires(detail::HasAxis<shape_of<E>, Axis>&& Before >= 0 && After >= 0) auto pad(const E& x,
                                                                                  element_of<E> value = {}) {
  using S = shape_of<E>;
  using To = ShapeOf<detail::Padded<S, Axis, Before + After>>;
  constexpr std::size_t axis = detail::axis_of<S, Axis>;
  auto values = x.shape().values();
  values[axis] += Before + After;
  std::array<Index, S::extents.size()> start{};
  start[axis] = Before;
  return detail::framed<S::rank - static_cast<int>(axis)>(x, To{values}, start, value);
}

/// The same along all axes, with numbers known at run time: pad(x, {{{1, 1}, {0, 2}}}) has one row more above
/// and below and two columns more to the right; all extents are dyn. Throws ValueError for negative numbers.
template <Expression E>
auto pad(const E& x, const std::array<std::array<Index, 2>, shape_of<E>::extents.size()>& widths,
         element_of<E> value = {}, Location where = Location::here()) {
  using To = ShapeOf<detail::AllOpen<shape_of<E>>>;
  auto values = x.shape().values();
  std::array<Index, To::extents.size()> start{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (widths[i][0] < 0 || widths[i][1] < 0)
      throw ValueError("pad: " + std::to_string(std::min(widths[i][0], widths[i][1])) + " elements at axis " +
                       std::to_string(i) + " of " + x.shape().text() + at(where));
    values[i] += widths[i][0] + widths[i][1];
    start[i] = widths[i][0];
  }
  return detail::framed<1>(x, To{values}, start, value);
}

// What pad refuses.
namespace operation {
struct pad;
}  // namespace operation
template <int Axis, Index Before, Index After, Expression E>
requires(!detail::HasAxis<shape_of<E>, Axis>) auto pad(const E&, element_of<E> = {})
    -> misuse::axes_do_not_fit<operation::pad, shape_of<E>, Axis>;

}  // namespace burrow
