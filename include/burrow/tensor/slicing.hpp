// Views of parts of tensors: view(x, indices...), and the short forms `at`, `slice` and `split`. A view
// shares the elements; of a traced value it is traced.
#pragma once

#include <burrow/tensor/indices.hpp>
#include <burrow/tensor/tensor.hpp>

namespace burrow {

namespace detail {

template <class Leaf, class V>
auto rebind(const Leaf& leaf, V view) {
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

template <class Leaf>
inline constexpr Packing packing = Leaf::contiguous           ? Packing::dense
                                   : Leaf::layout::unit_inner ? Packing::unit_inner
                                                              : Packing::strided;

/// The storage of a leaf that only shows it from now on; that of a view is moved.
template <class Leaf>
auto storage_of(Leaf& leaf) {
  if constexpr (requires { std::move(leaf).storage(); })
    return std::move(leaf).storage();
  else
    return leaf.view().storage();
}

/// The elements at `offset` of a leaf, seen with other extents and strides.
template <class S, Packing P, class Leaf>
auto seen_as(Leaf leaf, Index offset, const std::array<Index, S::extents.size()>& extents,
             const std::array<Index, S::extents.size()>& strides, Location where) {
  using T = typename Leaf::element;
  using D = typename Leaf::device;
  const S shape{extents, where};
  const bool empty = shape.size() == 0 || leaf.shape().size() == 0;
  T* const data = const_cast<T*>(leaf.view().data()) + (empty ? 0 : offset);
  Buffer<D> storage = storage_of(leaf);
  if constexpr (P == Packing::dense)
    return rebind(leaf, View<T, S, D>{std::move(storage), data, shape});
  else
    return rebind(leaf,
                  View<T, S, D, Strided<P == Packing::unit_inner>>{std::move(storage), data, shape, strides});
}

template <class S, int Axis>
concept HasAxis = Axis >= -S::rank&& Axis < S::rank;

/// Axis counted from the front.
template <class S, int Axis>
inline constexpr std::size_t axis_of = static_cast<std::size_t>(Axis < 0 ? Axis + S::rank : Axis);

template <class S, int Axis, Index Extent>
struct resized {
  static constexpr auto extents = [] {
    auto result = S::extents;
    result[axis_of<S, Axis>] = Extent;
    return result;
  }();
};

template <class S, int Axis>
struct without_axis {
  static constexpr auto extents = [] {
    std::array<Index, S::extents.size() - 1> result{};
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = S::extents[i < axis_of<S, Axis> ? i : i + 1];
    return result;
  }();
};

/// True where S repeats over To, as far as the compiler knows.
template <class S, class To>
constexpr bool broadcasts_to() {
  if (S::rank > To::rank) return false;
  for (std::size_t i = 0; i < S::extents.size(); ++i) {
    const Index from = S::extents[i], to = To::extents[i + To::extents.size() - S::extents.size()];
    if (from != to && from != 1 && from != dyn && to != dyn) return false;
  }
  return true;
}

/// Throws where an extent that is known at run time is not the one that it should be.
template <class S, class To>
void check_broadcasts_to(const char* operation, const S& shape, const To& to, Location where) {
  for (std::size_t i = 0; i < S::extents.size(); ++i)
    if (S::extents[i] != 1 && shape.values()[i] != to.values()[i + To::extents.size() - S::extents.size()])
      throw ShapeError(std::string(operation) + ": " + shape.text() + " does not repeat over " + to.text() +
                       " (only a static 1 does)" + at(where));
}

/// What a list of indices makes of a shape at compile time.
template <class S, class... I>
struct IndexPlan {
  static constexpr std::array<AxisIndex, sizeof...(I)> given{static_index<I>::value...};
  static constexpr std::size_t ellipses = count_kind(given, IndexKind::ellipsis);
  static constexpr std::size_t new_axes = count_kind(given, IndexKind::new_axis);
  static constexpr std::size_t rank = S::extents.size();
  static constexpr bool one_ellipsis = ellipses <= 1;
  static constexpr bool fits = count_named(given) - new_axes <= rank;
  static constexpr std::size_t count = fits ? rank + new_axes : 0;
  static constexpr auto indices = [] {
    if constexpr (fits && one_ellipsis)
      return written_out<count>(given);
    else
      return std::array<AxisIndex, 0>{};
  }();
  static constexpr bool inside = [] {
    std::size_t axis = 0;
    for (const AxisIndex& i : indices)
      if (i.kind != IndexKind::new_axis && !may_be_inside(i, S::extents[axis++])) return false;
    return true;
  }();
  static constexpr auto extents = [] {
    std::array<Index, indices.size() - count_kind(indices, IndexKind::element)> result{};
    std::size_t axis = 0, to = 0;
    for (const AxisIndex& i : indices) {
      const Index extent = i.kind == IndexKind::new_axis ? 1 : S::extents[axis++];
      if (i.kind != IndexKind::element) result[to++] = static_length(i, extent);
    }
    return result;
  }();
};

/// `view` for operations that are named in its errors.
template <class Leaf, class... I>
auto indexed(const char* operation, Leaf leaf, Location where, const I&... indices) {
  using Plan = IndexPlan<typename Leaf::shape_type, I...>;
  using S = ShapeOf<Plan>;
  const auto from = leaf.shape().values();
  const auto steps = leaf.view().strides();
  ViewBuilder builder{operation, from.data(), steps.data(), from.size(), where};
  std::array<Index, S::extents.size()> extents{}, strides{};
  std::size_t to = 0;
  const auto given = std::array<AxisIndex, sizeof...(I)>{axis_index(indices)...};
  for (const AxisIndex& i : written_out<Plan::count>(given)) {
    const auto [extent, stride] = builder.next(i);
    if (i.kind == IndexKind::element) continue;
    extents[to] = extent;
    strides[to++] = stride;
  }
  constexpr Packing packed = packing_of(Plan::indices, Leaf::shape_type::extents, packing<Leaf>);
  return seen_as<S, packed>(std::move(leaf), builder.offset, extents, strides, where);
}

/// `indexed` with one index, for one axis.
template <int Axis, class Leaf, class I>
auto indexed_axis(const char* operation, Leaf leaf, Location where, const I& i) {
  return [&]<std::size_t... Before>(std::index_sequence<Before...>) {
    return indexed(operation, std::move(leaf), where, (static_cast<void>(Before), whole_axis)..., i);
  }
  (std::make_index_sequence<axis_of<typename Leaf::shape_type, Axis>>{});
}

}  // namespace detail

/// What `view` and `part` take for an axis: an integer, `whole_axis`, `ellipsis`, `new_axis`, a range or an
/// index().
template <class I>
concept AxisIndexing = detail::is_index<I>;

namespace detail {
template <class S, class... I>
concept IndicesFit =
    IndexPlan<S, I...>::one_ellipsis && IndexPlan<S, I...>::fits && IndexPlan<S, I...>::inside;
}  // namespace detail

/// The part of x that NumPy's x[indices...] names, as a view. For each axis: an integer i or index<I>() drops
/// the axis, `whole_axis` keeps it, range<B, E, S>(), range(b, e, s) and range_of<N>(b, s) take some of it;
/// `new_axis` adds an axis of extent 1; `ellipsis` and a shorter list keep the axes that are left. Negative
/// numbers count from the end. Extents are static where the compiler can tell. Up to eight indices. Throws
/// ShapeError where an integer is not in its axis or a range_of is not all there; where that is known, it
/// does not compile. Gradient: flows to the elements that are shown.
template <Expression E, AxisIndexing I0, AxisIndexing I1 = detail::NoIndex, AxisIndexing I2 = detail::NoIndex,
          AxisIndexing I3 = detail::NoIndex, AxisIndexing I4 = detail::NoIndex,
          AxisIndexing I5 = detail::NoIndex, AxisIndexing I6 = detail::NoIndex,
          AxisIndexing I7 = detail::NoIndex>
requires detail::IndicesFit<shape_of<E>, I0, I1, I2, I3, I4, I5, I6, I7>
auto view(const E& x, const I0& i0, const I1& i1 = {}, const I2& i2 = {}, const I3& i3 = {},
          const I4& i4 = {}, const I5& i5 = {}, const I6& i6 = {}, const I7& i7 = {},
          Location where = Location::here()) {
  return detail::indexed("view", detail::as_leaf(x), where, i0, i1, i2, i3, i4, i5, i6, i7);
}

/// The slice at one index of an axis, without that axis: view(x, whole_axis, ..., index). A negative index
/// counts from the end.
template <int Axis = 0, Expression E>
requires detail::HasAxis<shape_of<E>, Axis>
auto at(const E& x, Index index, Location where = Location::here()) {
  return detail::indexed_axis<Axis>("at", detail::as_leaf(x), where, index);
}

/// Elements begin, begin + step, ... of one axis, `length` of them: view(x, whole_axis, ..., range_of). The
/// length is dyn and given at run time, or static: `slice<0, 3>(x, begin)` has extent 3. A negative begin
/// counts from the end. Throws ShapeError where the elements are not all there.
template <int Axis, Index Length, Expression E>
requires(detail::HasAxis<shape_of<E>, Axis>&& Length >= 0) auto slice(const E& x, Index begin,
                                                                      Location where = Location::here()) {
  return detail::indexed_axis<Axis>("slice", detail::as_leaf(x), where,
                                    IndexRangeOf<Length, true>{begin, Length});
}
template <int Axis, Index Length = dyn, Expression E>
requires detail::HasAxis<shape_of<E>, Axis>
auto slice(const E& x, Index begin, Index length, Location where = Location::here()) {
  return detail::indexed_axis<Axis>("slice", detail::as_leaf(x), where,
                                    IndexRangeOf<Length, true>{begin, length});
}
template <int Axis, Index Length = dyn, Expression E>
requires detail::HasAxis<shape_of<E>, Axis>
auto slice(const E& x, Index begin, Index length, Index step, Location where = Location::here()) {
  return detail::indexed_axis<Axis>("slice", detail::as_leaf(x), where,
                                    IndexRangeOf<Length, false>{begin, length, step});
}

namespace detail {
template <class S, int Axis, Index N>
concept Divisible = HasAxis<S, Axis> && N >
0 && (S::extents[axis_of<S, Axis>] == dyn || S::extents[axis_of<S, Axis>] % N == 0);
}  // namespace detail

/// N views of equal parts of x along an axis. Throws ShapeError where N does not divide the extent; where it
/// is static, that does not compile.
template <Index N, int Axis = 0, Expression E>
requires detail::Divisible<shape_of<E>, Axis, N>
auto split(const E& x, Location where = Location::here()) {
  constexpr std::size_t axis = detail::axis_of<shape_of<E>, Axis>;
  constexpr Index part = shape_of<E>::extents[axis] == dyn ? dyn : shape_of<E>::extents[axis] / N;
  const auto leaf = detail::as_leaf(x);
  const Index extent = leaf.shape().values()[axis];
  if (extent % N != 0)
    throw ShapeError("split: axis " + std::to_string(axis) + " of " + leaf.shape().text() + " has no " +
                     std::to_string(N) + " equal parts" + at(where));
  const auto piece = [&](Index i) { return slice<Axis, part>(leaf, i * (extent / N), extent / N, where); };
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{piece(static_cast<Index>(I))...};
  }
  (std::make_index_sequence<static_cast<std::size_t>(N)>{});
}

// What views refuse.
namespace operation {
struct view;
struct at;
struct slice;
struct split;
}  // namespace operation
template <Expression E, AxisIndexing... I>
requires(!detail::IndicesFit<shape_of<E>, I...>) auto view(const E&, const I&...)
    -> misuse::indices_do_not_fit<operation::view, shape_of<E>, I...>;
template <int Axis = 0, Expression E>
requires(!detail::HasAxis<shape_of<E>, Axis>) auto at(const E&, Index, Location = {})
    -> misuse::axes_do_not_fit<operation::at, shape_of<E>, Axis>;
template <int Axis, Index Length = dyn, Expression E>
requires(!detail::HasAxis<shape_of<E>, Axis>) auto slice(const E&, Index, Index = Length, Index = 1)
    -> misuse::axes_do_not_fit<operation::slice, shape_of<E>, Axis>;
template <Index N, int Axis = 0, Expression E>
requires(!detail::Divisible<shape_of<E>, Axis, N>) auto split(const E&, Location = {})
    -> misuse::axes_do_not_fit<operation::split, shape_of<E>, Axis>;

}  // namespace burrow
