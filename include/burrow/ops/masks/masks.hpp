// Elements chosen by a mask: where they stand (nonzero), and they themselves (masked_select). How many there
// are is known at run time only.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/gather/gather.hpp>

namespace burrow {

namespace detail {

/// Row-major numbers of the elements that are not zero.
template <class T>
Tensor<std::int64_t, Shape<dyn>> places_of_nonzero(const T* x, Index size) {
  const auto chosen = [x](Index i) { return x[i] != T(0); };
  Index count = 0;
  for (Index i = 0; i < size; ++i) count += chosen(i) ? 1 : 0;
  Tensor<std::int64_t, Shape<dyn>> places{Shape<dyn>{{count}}};
  std::int64_t* to = places.data();
  for (Index i = 0; i < size; ++i)
    if (chosen(i)) *to++ = i;
  return places;
}

/// What a mask of the leading axes chooses of S: rows of the axes that it lacks, `count` of them.
template <class S, class Mask>
struct MaskedRows {
  static constexpr auto rows(const std::array<Index, S::extents.size()>& values, Index count) {
    std::array<Index, S::extents.size() - Mask::extents.size() + 1> result{count};
    for (std::size_t i = 1; i < result.size(); ++i) result[i] = values[i - 1 + Mask::extents.size()];
    return result;
  }
  static constexpr auto extents = rows(S::extents, dyn);
};

template <class S, class Mask>
constexpr bool masks_leading_axes() {
  if (Mask::rank < 1 || Mask::rank > S::rank) return false;
  for (std::size_t i = 0; i < Mask::extents.size(); ++i)
    if (S::extents[i] != Mask::extents[i] && S::extents[i] != dyn && Mask::extents[i] != dyn) return false;
  return true;
}

template <class X, class Mask>
concept MaskOf = Expression<X> && Expression<Mask> && std::same_as < element_of<Mask>,
bool > &&on_host<device_of<X>>&& masks_leading_axes<shape_of<X>, shape_of<Mask>>();

}  // namespace detail

/// The coordinates of the elements that are not zero, or true, as int64 [count, rank] in row-major order
/// (`numpy.argwhere`). There is no gradient.
template <Expression X>
requires(detail::on_host<device_of<X>>&& shape_of<X>::rank >= 1) auto nonzero(const X& x) {
  constexpr Index rank = shape_of<X>::rank;
  const auto values = materialize(stop_gradient(x));
  const auto places = detail::places_of_nonzero(std::as_const(values).data(), values.size());
  Tensor<std::int64_t, Shape<dyn, rank>> coordinates{Shape<dyn, rank>{{places.size(), rank}}};
  const auto& extents = values.shape().values();
  for (Index k = 0; k < places.size(); ++k) {
    Index rest = places.data()[k];
    for (std::size_t axis = extents.size(); axis-- > 0; rest /= extents[axis])
      coordinates.data()[k * rank + static_cast<Index>(axis)] = rest % extents[axis];
  }
  return coordinates;
}

/// The elements of x where a mask of bool is true (`x[mask]` in NumPy), in row-major order: a mask of x's
/// shape gives [count]; one of x's leading axes gives rows of the others, [count, ...]. Throws ShapeError
/// where run-time extents differ. Gradient: dy goes back to where each element came from.
template <Expression X, Expression Mask>
requires detail::MaskOf<X, Mask>
auto masked_select(const X& x, const Mask& mask, Location where = Location::here()) {
  using Table = detail::MaskedRows<shape_of<X>, shape_of<Mask>>;
  const auto in = operand(tape_of(x), x);
  const auto chosen = materialize(stop_gradient(mask));
  for (int axis = 0; axis < shape_of<Mask>::rank; ++axis)
    if (in.shape()[axis] != chosen.shape()[axis])
      throw ShapeError("masked_select: a mask of " + chosen.shape().text() + " for " + in.shape().text() +
                       at(where));
  const auto rows = Table::rows(in.shape().values(), chosen.size());
  const auto places = detail::places_of_nonzero(std::as_const(chosen).data(), chosen.size());
  return gather<0>(reshape(in, ShapeOf<Table>{rows}), places, where);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct masked_select;
}
template <Expression X, Expression Mask>
requires(!detail::MaskOf<X, Mask>) auto masked_select(const X&, const Mask&, Location = {})
    -> std::conditional_t<
        std::same_as<element_of<Mask>, bool>,
        misuse::shapes_do_not_fit<operation::masked_select, shape_of<X>, shape_of<Mask>>,
        misuse::element_types_are_refused<operation::masked_select, element_of<X>, element_of<Mask>>>;

}  // namespace burrow
