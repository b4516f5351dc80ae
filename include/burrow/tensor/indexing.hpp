// Views of tensors: transpose, slices, reshape, one row. They share storage; of a traced value they are
// traced.
#pragma once

#include <burrow/tensor/tensor.hpp>

namespace burrow {

namespace detail {

template <class Leaf, class V>
auto rebind(const Leaf& leaf, const V& view) {
  if constexpr (requires { leaf.rebind(view); })
    return leaf.rebind(view);
  else
    return view;
}

/// The expression as a leaf: itself, or its value where it is a computation.
template <Expression E>
auto as_leaf(const E& e) {
  if constexpr (node_of<E>::is_leaf)
    return to_node(e);
  else
    return to_node(materialize(e));
}

/// The expression as a leaf without gaps: itself where it is one, or its value.
template <Expression E>
auto as_dense_leaf(const E& e) {
  if constexpr (is_dense_leaf<node_of<E>>)
    return to_node(e);
  else
    return to_node(materialize(e));
}

template <class S, int A, int B>
struct swapped {
  static constexpr auto extents = [] {
    auto result = S::extents;
    std::swap(result[static_cast<std::size_t>(A < 0 ? A + S::rank : A)],
              result[static_cast<std::size_t>(B < 0 ? B + S::rank : B)]);
    return result;
  }();
};

template <class S, int Axis, Index Extent>
struct resized {
  static constexpr auto extents = [] {
    auto result = S::extents;
    result[static_cast<std::size_t>(Axis < 0 ? Axis + S::rank : Axis)] = Extent;
    return result;
  }();
};

template <class S, int Axis>
struct without_axis {
  static constexpr auto extents = [] {
    std::array<Index, S::extents.size() - 1> result{};
    constexpr auto axis = static_cast<std::size_t>(Axis < 0 ? Axis + S::rank : Axis);
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = S::extents[i < axis ? i : i + 1];
    return result;
  }();
};

template <class S, int Axis>
concept HasAxis = Axis >= -S::rank&& Axis < S::rank;

/// Shapes of as many elements, or whose numbers are known at run time only.
template <class A, class B>
concept SameCount = !A::is_static || !B::is_static || A{}.size() == B{}.size();

}  // namespace detail

/// The view with two axes exchanged; the last two by default.
template <int A = -2, int B = -1, Expression E>
requires(detail::HasAxis<shape_of<E>, A>&& detail::HasAxis<shape_of<E>, B>) auto transpose(const E& e) {
  using S = shape_of<E>;
  using Result = ShapeOf<detail::swapped<S, A, B>>;
  const auto leaf = detail::as_leaf(e);
  auto values = leaf.shape().values();
  auto strides = leaf.view().strides();
  constexpr auto a = static_cast<std::size_t>(A < 0 ? A + S::rank : A);
  constexpr auto b = static_cast<std::size_t>(B < 0 ? B + S::rank : B);
  std::swap(values[a], values[b]);
  std::swap(strides[a], strides[b]);
  using L =
      Strided<decltype(leaf)::layout::unit_inner && a + 1 != S::extents.size() && b + 1 != S::extents.size()>;
  const View<element_of<E>, Result, device_of<E>, L> view{Buffer<device_of<E>>{leaf.view().storage()},
                                                          const_cast<element_of<E>*>(leaf.view().data()),
                                                          Result{values}, strides};
  return detail::rebind(leaf, view);
}

/// Elements begin, begin + step, ... of one axis, `length` of them, as a view. Length is dyn and given at run
/// time, or static: `slice<0, 3>(x, begin)` has extent 3. Throws ShapeError where the elements are not all
/// there.
template <int Axis, Index Length = dyn, Expression E>
requires detail::HasAxis<shape_of<E>, Axis>
auto slice(const E& e, Index begin, Index length = Length, Index step = 1,
           Location where = Location::here()) {
  using S = shape_of<E>;
  using Result = ShapeOf<detail::resized<S, Axis, Length>>;
  constexpr auto axis = static_cast<std::size_t>(Axis < 0 ? Axis + S::rank : Axis);
  const auto leaf = detail::as_leaf(e);
  auto values = leaf.shape().values();
  auto strides = leaf.view().strides();
  const Index last = begin + (length - 1) * step;
  if (length < 0 || (length > 0 && (begin < 0 || begin >= values[axis] || last < 0 || last >= values[axis])))
    throw ShapeError("slice: elements " + std::to_string(begin) + " to " + std::to_string(last) +
                     " of axis " + std::to_string(axis) + " are not all in " + leaf.shape().text() +
                     at(where));
  values[axis] = length;
  const bool empty = length == 0 || leaf.shape().size() == 0;
  element_of<E>* const data =
      const_cast<element_of<E>*>(leaf.view().data()) + (empty ? 0 : begin * strides[axis]);
  strides[axis] *= step;
  // A step along the last axis is known at run time only, so neighbours may not be neighbours in memory.
  const auto make = [&]<class L>(L) {
    const View<element_of<E>, Result, device_of<E>, L> view{Buffer<device_of<E>>{leaf.view().storage()}, data,
                                                            Result{values}, strides};
    return detail::rebind(leaf, view);
  };
  if constexpr (axis + 1 == S::extents.size())
    return make(Strided<false>{});
  else
    return make(Strided<decltype(leaf)::layout::unit_inner>{});
}

/// The slice at one index of an axis, without that axis.
template <int Axis = 0, Expression E>
requires detail::HasAxis<shape_of<E>, Axis>
auto at(const E& e, Index index, Location where = Location::here()) {
  using S = shape_of<E>;
  using Result = ShapeOf<detail::without_axis<S, Axis>>;
  constexpr auto axis = static_cast<std::size_t>(Axis < 0 ? Axis + S::rank : Axis);
  const auto leaf = detail::as_leaf(e);
  if (index < 0 || index >= leaf.shape().values()[axis])
    throw ShapeError("at: index " + std::to_string(index) + " is not in axis " + std::to_string(axis) +
                     " of " + leaf.shape().text() + at(where));
  std::array<Index, Result::extents.size()> values{}, strides{};
  const auto from = leaf.view().strides();
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = leaf.shape().values()[i < axis ? i : i + 1];
    strides[i] = from[i < axis ? i : i + 1];
  }
  element_of<E>* const data =
      const_cast<element_of<E>*>(leaf.view().data()) + (leaf.shape().size() == 0 ? 0 : index * from[axis]);
  const Buffer<device_of<E>> storage{leaf.view().storage()};
  if constexpr (axis == 0 && decltype(leaf)::contiguous) {
    return detail::rebind(leaf, View<element_of<E>, Result, device_of<E>>{storage, data, Result{values}});
  } else {
    using L = Strided<decltype(leaf)::layout::unit_inner && axis + 1 != S::extents.size()>;
    return detail::rebind(
        leaf, View<element_of<E>, Result, device_of<E>, L>{storage, data, Result{values}, strides});
  }
}

/// The same elements in row-major order with another shape; a view where they lie without gaps, else a copy.
template <class To, Expression E>
requires detail::SameCount<shape_of<E>, To>
auto reshape(const E& e, const To& shape = {}, Location where = Location::here()) {
  const auto leaf = detail::as_dense_leaf(e);
  if (shape.size() != leaf.shape().size())
    throw ShapeError("reshape: " + leaf.shape().text() + " has not as many elements as " + shape.text() +
                     at(where));
  const View<element_of<E>, To, device_of<E>> view{Buffer<device_of<E>>{leaf.view().storage()},
                                                   const_cast<element_of<E>*>(leaf.view().data()), shape};
  return detail::rebind(leaf, view);
}

// What views refuse.
namespace operation {
struct transpose;
struct slice;
struct at;
struct reshape;
}  // namespace operation
template <int A = -2, int B = -1, Expression E>
requires(!detail::HasAxis<shape_of<E>, A> || !detail::HasAxis<shape_of<E>, B>) auto transpose(const E&)
    -> misuse::axes_do_not_fit<operation::transpose, shape_of<E>, A, B>;
template <int Axis, Index Length = dyn, Expression E>
requires(!detail::HasAxis<shape_of<E>, Axis>) auto slice(const E&, Index, Index = Length, Index = 1)
    -> misuse::axes_do_not_fit<operation::slice, shape_of<E>, Axis>;
template <int Axis = 0, Expression E>
requires(!detail::HasAxis<shape_of<E>, Axis>) auto at(const E&, Index)
    -> misuse::axes_do_not_fit<operation::at, shape_of<E>, Axis>;
template <class To, Expression E>
requires(!detail::SameCount<shape_of<E>, To>) auto reshape(const E&, const To& = {})
    -> misuse::shapes_do_not_fit<operation::reshape, shape_of<E>, To>;

}  // namespace burrow
