// Views of all of a tensor with its axes in another order or number: permute, transpose, flip, expand_dims,
// squeeze, broadcast_to, reshape, flatten; and repeat and tile, which copy. Of a traced value they are
// traced.
#pragma once

#include <burrow/tensor/slicing.hpp>

namespace burrow {

namespace detail {

template <class S, int... Axes>
constexpr bool names_every_axis() {
  std::array<bool, sizeof...(Axes)> seen{};
  ((seen[axis_of<S, Axes>] = true), ...);
  for (const bool s : seen)
    if (!s) return false;
  return true;
}
template <class S, int... Axes>
concept PermutationOf = sizeof...(Axes) == S::extents.size() &&
                        (HasAxis<S, Axes> && ...) && names_every_axis<S, Axes...>();

template <class S, int... Axes>
struct Permutation {
  static constexpr std::array<std::size_t, sizeof...(Axes)> order{axis_of<S, Axes>...};
};

/// The order of axes that exchanges two of them.
template <class S, int A, int B>
struct Exchange {
  static constexpr auto order = [] {
    std::array<std::size_t, S::extents.size()> result{};
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = i;
    result[axis_of<S, A>] = axis_of<S, B>;
    result[axis_of<S, B>] = axis_of<S, A>;
    return result;
  }();
};

template <class Table, std::size_t Rank>
constexpr auto reordered(const std::array<Index, Rank>& values) {
  std::array<Index, Table::order.size()> result{};
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = values[Table::order[i]];
  return result;
}

template <class S, class Table>
struct Reordered {
  static constexpr auto extents = reordered<Table>(S::extents);
};

/// The packing of a leaf whose axis i is axis Table::order[i] of another; axes of extent 1 may go anywhere.
template <class S, class Table>
constexpr Packing reordered_packing(Packing source) {
  bool ordered = true;
  std::size_t least = 0;
  for (const std::size_t axis : Table::order) {
    if (S::extents[axis] == 1) continue;
    ordered = ordered && axis >= least;
    least = axis;
  }
  if (source == Packing::dense && ordered) return Packing::dense;
  const bool keeps_last = Table::order.size() > 0 && Table::order.back() + 1 == S::extents.size();
  return source != Packing::strided && keeps_last ? Packing::unit_inner : Packing::strided;
}

/// A leaf with the axes that Table::order names, in that order; axes that it leaves out have extent 1.
template <class Table, class Leaf>
auto with_axes(const Leaf& leaf, Location where) {
  using S = typename Leaf::shape_type;
  return seen_as<ShapeOf<Reordered<S, Table>>, reordered_packing<S, Table>(packing<Leaf>)>(
      leaf, 0, reordered<Table>(leaf.shape().values()), reordered<Table>(leaf.view().strides()), where);
}

}  // namespace detail

/// The view whose axis i is axis Axes[i] of x: permute<2, 0, 1>(x).
template <int... Axes, Expression E>
requires detail::PermutationOf<shape_of<E>, Axes...>
auto permute(const E& x, Location where = Location::here()) {
  return detail::with_axes<detail::Permutation<shape_of<E>, Axes...>>(detail::as_leaf(x), where);
}

/// The view with two axes exchanged; the last two by default.
template <int A = -2, int B = -1, Expression E>
requires(detail::HasAxis<shape_of<E>, A>&& detail::HasAxis<shape_of<E>, B>) auto transpose(
    const E& x, Location where = Location::here()) {
  return detail::with_axes<detail::Exchange<shape_of<E>, A, B>>(detail::as_leaf(x), where);
}

/// The view with the order of elements reversed along the given axes; along all of them by default.
template <int... Axes, Expression E>
requires(detail::HasAxis<shape_of<E>, Axes>&&...) auto flip(const E& x, Location where = Location::here()) {
  using S = shape_of<E>;
  constexpr auto flipped = [] {
    std::array<bool, S::extents.size()> result{};
    if (sizeof...(Axes) == 0) result.fill(true);
    ((result[detail::axis_of<S, Axes>] = true), ...);
    return result;
  }();
  const auto leaf = detail::as_leaf(x);
  const auto values = leaf.shape().values();
  auto strides = leaf.view().strides();
  Index offset = 0;
  for (std::size_t i = 0; i < flipped.size(); ++i) {
    if (!flipped[i]) continue;
    offset += (values[i] - 1) * strides[i];
    strides[i] = -strides[i];
  }
  constexpr bool unit =
      decltype(leaf)::layout::unit_inner && S::rank > 0 && !flipped[flipped.size() - (S::rank > 0 ? 1 : 0)];
  return detail::seen_as < S, unit ? detail::Packing::unit_inner
                                   : detail::Packing::strided > (leaf, offset, values, strides, where);
}

/// The view with an axis of extent 1 that becomes axis Axis of the result.
template <int Axis, Expression E>
requires(Axis >= -shape_of<E>::rank - 1 &&
         Axis <= shape_of<E>::rank) auto expand_dims(const E& x, Location where = Location::here()) {
  constexpr int before = Axis < 0 ? Axis + shape_of<E>::rank + 1 : Axis;
  return [&]<std::size_t... Before>(std::index_sequence<Before...>) {
    return detail::indexed("expand_dims", detail::as_leaf(x), where,
                           (static_cast<void>(Before), whole_axis)..., new_axis);
  }
  (std::make_index_sequence<static_cast<std::size_t>(before)>{});
}

namespace detail {

/// The axes that squeeze keeps.
template <class S, int... Axes>
struct Squeezed {
  static constexpr auto dropped = [] {
    std::array<bool, S::extents.size()> result{};
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = sizeof...(Axes) == 0 && S::extents[i] == 1;
    ((result[axis_of<S, Axes>] = true), ...);
    return result;
  }();
  static constexpr std::size_t count = [] {
    std::size_t n = 0;
    for (const bool d : dropped) n += d ? 0 : 1;
    return n;
  }();
  static constexpr auto order = [] {
    std::array<std::size_t, count> result{};
    std::size_t to = 0;
    for (std::size_t i = 0; i < dropped.size(); ++i)
      if (!dropped[i]) result[to++] = i;
    return result;
  }();
};

template <class S, int Axis>
concept MayHaveExtentOne = HasAxis<S, Axis> &&
    (S::extents[axis_of<S, Axis>] == 1 || S::extents[axis_of<S, Axis>] == dyn);

}  // namespace detail

/// The view without the given axes, which have extent 1; without all axes of static extent 1 by default.
/// Throws ShapeError where the extent of a dyn axis is not 1.
template <int... Axes, Expression E>
requires(detail::MayHaveExtentOne<shape_of<E>, Axes>&&...) auto squeeze(const E& x,
                                                                        Location where = Location::here()) {
  using Squeezed = detail::Squeezed<shape_of<E>, Axes...>;
  const auto leaf = detail::as_leaf(x);
  for (std::size_t i = 0; i < Squeezed::dropped.size(); ++i)
    if (Squeezed::dropped[i] && leaf.shape().values()[i] != 1)
      throw ShapeError("squeeze: axis " + std::to_string(i) + " of " + leaf.shape().text() +
                       " does not have extent 1" + at(where));
  return detail::with_axes<Squeezed>(leaf, where);
}

namespace detail {

/// The packing of a leaf repeated over To.
template <class S, class To>
constexpr Packing broadcast_packing(Packing source) {
  bool repeats = false;
  for (std::size_t i = 0; i < To::extents.size(); ++i)
    repeats = repeats || (aligned_extent(S::extents, To::extents.size(), i) == 1 && To::extents[i] != 1);
  if (!repeats) return source;
  const bool last = S::rank == 0 || S::extents.back() == 1;
  return source == Packing::strided || last ? Packing::strided : Packing::unit_inner;
}

}  // namespace detail

/// The view that repeats x over a shape without copying: axes of static extent 1, and axes that x lacks on
/// the left, take the shape's extents. The other extents are the same; throws ShapeError where those known at
/// run time are not. Gradient: the sum over the repetitions.
template <class To, Expression E>
requires(detail::broadcasts_to<shape_of<E>, To>()) auto broadcast_to(const E& x, const To& shape = {},
                                                                     Location where = Location::here()) {
  using S = shape_of<E>;
  constexpr std::size_t missing = To::extents.size() - S::extents.size();
  const auto leaf = detail::as_leaf(x);
  const auto steps = leaf.view().strides();
  std::array<Index, To::extents.size()> strides{};
  detail::check_broadcasts_to("broadcast_to", leaf.shape(), shape, where);
  for (std::size_t i = 0; i < steps.size(); ++i) strides[i + missing] = S::extents[i] == 1 ? 0 : steps[i];
  return detail::seen_as<To, detail::broadcast_packing<S, To>(detail::packing<decltype(leaf)>)>(
      leaf, 0, shape.values(), strides, where);
}

namespace detail {

template <class To>
constexpr std::size_t dyn_extents() {
  std::size_t count = 0;
  for (const Index e : To::extents) count += e == dyn ? 1 : 0;
  return count;
}

/// The product of the extents, one dyn extent left out.
template <class To>
constexpr Index static_product() {
  Index product = 1;
  for (const Index e : To::extents) product *= e == dyn ? 1 : e;
  return product;
}

/// To with its one dyn extent replaced by what the elements of S fill.
template <class S, class To>
struct Inferred {
  static constexpr bool fits =
      !S::is_static || (static_product<To>() == 0 ? S{}.size() == 0 : S{}.size() % static_product<To>() == 0);
  static constexpr Index extent = [] {
    if constexpr (S::is_static && static_product<To>() != 0)
      return S{}.size() / static_product<To>();
    else
      return dyn;
  }();
  static constexpr auto extents = [] {
    auto result = To::extents;
    for (Index& e : result)
      if (e == dyn) e = extent;
    return result;
  }();
};

/// Shapes of as many elements, or whose numbers are known at run time only.
template <class A, class B>
concept SameCount = is_shape<B> &&(!A::is_static || !B::is_static || A{}.size() == B{}.size());

/// Shapes of as many elements once at most one dyn extent of the second follows from the first.
template <class A, class B>
concept Fills = is_shape<B> && dyn_extents<B>()
<= 1 && (B::is_static ? SameCount<A, B> : Inferred<A, B>::fits);

}  // namespace detail

/// The same elements in row-major order with another shape; a view where they lie without gaps, else a copy.
/// Throws ShapeError where the numbers of elements differ; where they are static, that does not compile.
template <class To, Expression E>
requires detail::SameCount<shape_of<E>, To>
auto reshape(const E& x, const To& shape, Location where = Location::here()) {
  const auto leaf = detail::as_dense_leaf(x);
  if (shape.size() != leaf.shape().size())
    throw ShapeError("reshape: " + leaf.shape().text() + " has not as many elements as " + shape.text() +
                     at(where));
  return detail::seen_as<To, detail::Packing::dense>(leaf, 0, shape.values(), {}, where);
}

/// The same with an extent that follows from the others: in reshape<Shape<dyn, 3>>(x), the dyn one. It is
/// static where the shape of x is.
template <class To, Expression E>
requires detail::Fills<shape_of<E>, To>
auto reshape(const E& x, Location where = Location::here()) {
  if constexpr (To::is_static) {
    return reshape(x, To{}, where);
  } else {
    using Result = detail::Inferred<shape_of<E>, To>;
    constexpr Index known = detail::static_product<To>();
    const Index size = x.shape().size();
    auto values = Result::extents;
    for (Index& v : values)
      if (v == dyn) v = known == 0 ? 0 : size / known;
    if (known == 0 ? size != 0 : size % known != 0)
      throw ShapeError("reshape: " + x.shape().text() + " does not fill " +
                       detail::shape_text(To::extents.data(), To::extents.size()) + at(where));
    return reshape(x, ShapeOf<Result>{values}, where);
  }
}

/// All elements in row-major order as one axis; a view where they lie without gaps, else a copy.
template <Expression E>
auto flatten(const E& x, Location where = Location::here()) {
  return reshape<Shape<dyn>>(x, where);
}

namespace detail {

/// The shape that has an axis of extent Times after (or, for tiles, before) axis A, and the one that merges
/// the two.
template <class S, std::size_t A, Index Times, bool Before>
struct Spread {
  static constexpr auto spread(const std::array<Index, S::extents.size()>& from, Index times) {
    std::array<Index, S::extents.size() + 1> result{};
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = from[i <= A ? i : i - 1];
    result[Before ? A : A + 1] = times;
    return result;
  }
  static constexpr auto merge(std::array<Index, S::extents.size()> from, Index times) {
    from[A] = from[A] == dyn || times == dyn ? dyn : from[A] * times;
    return from;
  }
  struct Open {
    static constexpr auto extents = spread(S::extents, Times);
  };
  struct Merged {
    static constexpr auto extents = merge(S::extents, Times);
  };
};

template <Index Times, int Axis, bool Before, class E>
auto spread(const E& x, Index times, Location where) {
  using S = shape_of<E>;
  constexpr std::size_t axis = axis_of<S, Axis>;
  using Table = Spread<S, axis, Times, Before>;
  const auto values = x.shape().values();
  const auto open = expand_dims<static_cast<int>(Before ? axis : axis + 1)>(x, where);
  return reshape(
      broadcast_to(open, ShapeOf<typename Table::Open>{Table::spread(values, times), where}, where),
      ShapeOf<typename Table::Merged>{Table::merge(values, times)}, where);
}

}  // namespace detail

/// Every element Times times in a row along an axis, as a copy: repeat<2, 0>(x). Gradient: the sum.
template <Index Times, int Axis, Expression E>
requires(detail::HasAxis<shape_of<E>, Axis>&& Times >= 0) auto repeat(const E& x,
                                                                      Location where = Location::here()) {
  return detail::spread<Times, Axis, false>(x, Times, where);
}
/// The same with the number of times known at run time.
template <int Axis, Expression E>
requires detail::HasAxis<shape_of<E>, Axis>
auto repeat(const E& x, Index times, Location where = Location::here()) {
  return detail::spread<dyn, Axis, false>(x, times, where);
}

/// The tensor Times times one after the other along an axis, as a copy: tile<3, 1>(x). Gradient: the sum.
template <Index Times, int Axis, Expression E>
requires(detail::HasAxis<shape_of<E>, Axis>&& Times >= 0) auto tile(const E& x,
                                                                    Location where = Location::here()) {
  return detail::spread<Times, Axis, true>(x, Times, where);
}
template <int Axis, Expression E>
requires detail::HasAxis<shape_of<E>, Axis>
auto tile(const E& x, Index times, Location where = Location::here()) {
  return detail::spread<dyn, Axis, true>(x, times, where);
}

// What views refuse.
namespace operation {
struct permute;
struct transpose;
struct flip;
struct expand_dims;
struct squeeze;
struct broadcast_to;
struct reshape;
}  // namespace operation
template <int... Axes, Expression E>
requires(!detail::PermutationOf<shape_of<E>, Axes...>) auto permute(const E&, Location = {})
    -> misuse::axes_do_not_fit<operation::permute, shape_of<E>, Axes...>;
template <int A = -2, int B = -1, Expression E>
requires(!detail::HasAxis<shape_of<E>, A> || !detail::HasAxis<shape_of<E>, B>) auto transpose(const E&,
                                                                                              Location = {})
    -> misuse::axes_do_not_fit<operation::transpose, shape_of<E>, A, B>;
template <int... Axes, Expression E>
requires(!(detail::HasAxis<shape_of<E>, Axes> && ...)) auto flip(const E&, Location = {})
    -> misuse::axes_do_not_fit<operation::flip, shape_of<E>, Axes...>;
template <int Axis, Expression E>
requires(Axis<-shape_of<E>::rank - 1 || Axis> shape_of<E>::rank) auto expand_dims(const E&, Location = {})
    -> misuse::axes_do_not_fit<operation::expand_dims, shape_of<E>, Axis>;
template <int... Axes, Expression E>
requires(!(detail::MayHaveExtentOne<shape_of<E>, Axes> && ...)) auto squeeze(const E&, Location = {})
    -> misuse::axes_do_not_fit<operation::squeeze, shape_of<E>, Axes...>;
template <class To, Expression E>
requires(!detail::broadcasts_to<shape_of<E>, To>()) auto broadcast_to(const E&, const To& = {}, Location = {})
    -> misuse::shapes_do_not_fit<operation::broadcast_to, shape_of<E>, To>;
template <class To, Expression E>
requires(!detail::SameCount<shape_of<E>, To>) auto reshape(const E&, const To&, Location = {})
    -> misuse::shapes_do_not_fit<operation::reshape, shape_of<E>, To>;
template <class To, Expression E>
requires(!detail::Fills<shape_of<E>, To>) auto reshape(const E&, Location = {})
    -> misuse::shapes_do_not_fit<operation::reshape, shape_of<E>, To>;

}  // namespace burrow
