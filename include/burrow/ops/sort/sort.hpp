// Sorting along an axis: argsort, sort and topk.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/gather/gather.hpp>
#include <burrow/ops/sort/cpu.hpp>

namespace burrow {

namespace detail {

/// The places of the first `count` ranks along an axis; the result has extent Count there.
template <class Order, int Axis, Index Count, class E>
auto ranked(const char* name, const E& e, Index count) {
  using D = device_of<E>;
  using S = ShapeOf<resized<shape_of<E>, Axis, Count>>;
  return without_gradient(e, name, [&](const auto& operand) {
    const auto in = materialize(operand);
    auto extents = in.shape().values();
    extents[axis_number<S, Axis>] = count;
    Tensor<std::int64_t, S, D> places{S{extents}};
    places_by_rank<Order>(D{}, lines_along<Axis>(in.shape()), count, in.data(), places.data());
    return places;
  });
}

template <class S, int Axis>
inline constexpr Index static_extent = S::extents[axis_number<S, Axis>];

}  // namespace detail

/// The largest elements of each line and where they stand.
template <class Values, class Ids>
struct TopK {
  Values values;  ///< in descending order
  Ids ids;        ///< their places along the axis
};

/// The places, as int64, that sort x along an axis (the last by default) in ascending order:
/// `take_along<Axis>(x, argsort<Axis>(x))` is sorted. Equal elements keep their order, and NaN is last, as in
/// NumPy. There is no gradient.
template <int Axis = -1, Expression X>
requires detail::HasAxis<shape_of<X>, Axis>
auto argsort(const X& x) {
  using S = shape_of<X>;
  return detail::ranked<detail::Ascending, Axis, detail::static_extent<S, Axis>>(
      "argsort", x, x.shape().values()[detail::axis_number<S, Axis>]);
}

/// x sorted along an axis (the last by default) in ascending order, NaN last. Gradient: dy goes back to where
/// each element came from.
template <int Axis = -1, Expression X>
requires detail::HasAxis<shape_of<X>, Axis>
auto sort(const X& x) {
  const auto in = operand(tape_of(x), x);
  return take_along<Axis>(in, argsort<Axis>(in));
}

namespace detail {
template <int Axis, Index K, class X>
auto topk(const X& x, Index k, Location where) {
  const auto in = operand(tape_of(x), x);
  const Index extent = in.shape().values()[axis_number<shape_of<X>, Axis>];
  if (k < 0 || k > extent)
    throw ShapeError("topk: axis " + std::to_string(axis_number<shape_of<X>, Axis>) + " of " +
                     in.shape().text() + " has not " + std::to_string(k) + " elements" + at(where));
  const auto ids = ranked<Descending, Axis, K>("topk", in, k);
  const auto values = take_along<Axis>(in, ids);
  return TopK<std::remove_const_t<decltype(values)>, std::remove_const_t<decltype(ids)>>{values, ids};
}
}  // namespace detail

/// The K largest elements along an axis (the last by default) in descending order, and their places as int64:
/// `auto [values, ids] = topk<3>(x)`. The first of equal elements comes first, and NaN before all numbers.
/// Throws ShapeError where the axis has fewer than K elements. Gradient: dvalues goes to the elements chosen.
template <Index K, int Axis = -1, Expression X>
requires(K >= 0 && detail::HasAxis<shape_of<X>, Axis>) auto topk(const X& x,
                                                                 Location where = Location::here()) {
  static_assert(
      detail::static_extent<shape_of<X>, Axis> == dyn || K <= detail::static_extent<shape_of<X>, Axis>,
      "topk: the axis has fewer than K elements");
  return detail::topk<Axis, K>(x, K, where);
}

/// The same for a number k that is known at run time; the results have extent dyn along the axis.
template <int Axis = -1, Expression X>
requires detail::HasAxis<shape_of<X>, Axis>
auto topk(const X& x, Index k, Location where = Location::here()) {
  return detail::topk<Axis, dyn>(x, k, where);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct sort;
struct argsort;
struct topk;
}  // namespace operation

template <int Axis = -1, Expression X>
requires(!detail::HasAxis<shape_of<X>, Axis>)
    misuse::axes_do_not_fit<operation::sort, shape_of<X>, Axis> sort(const X&);
template <int Axis = -1, Expression X>
requires(!detail::HasAxis<shape_of<X>, Axis>)
    misuse::axes_do_not_fit<operation::argsort, shape_of<X>, Axis> argsort(const X&);
template <int Axis = -1, Expression X>
requires(!detail::HasAxis<shape_of<X>, Axis>)
    misuse::axes_do_not_fit<operation::topk, shape_of<X>, Axis> topk(const X&, Index, Location = {});

}  // namespace burrow
