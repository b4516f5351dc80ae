// Counting and looking up: searchsorted, bincount, histogram and unique. None has a gradient.
#pragma once

#include <burrow/ops/index_check.hpp>
#include <burrow/ops/sort/sort.hpp>
#include <burrow/tensor/create.hpp>

namespace burrow {

/// Which of several equal elements an insertion goes before (left) or after (right).
enum class Side { left, right };

namespace detail {

template <class E>
concept OnHost = Expression<E> && on_host<device_of<E>>;
template <class E>
concept Sequence = OnHost<E> && shape_of<E>::rank == 1;

/// The place of a value among sorted ones: how many are before it. NaN belongs to the end.
template <class T>
Index place_among(std::span<const T> sorted, T value, Side side) {
  const auto before = [](T a, T b) { return a < b || (b != b && a == a); };
  const auto found = side == Side::left ? std::lower_bound(sorted.begin(), sorted.end(), value, before)
                                        : std::upper_bound(sorted.begin(), sorted.end(), value, before);
  return found - sorted.begin();
}

template <class E>
auto plain_values(const E& e) {
  return materialize(stop_gradient(e));
}

}  // namespace detail

/// Where each element of x would be inserted into `sorted`, which ascends, so that it stays sorted: int64 of
/// x's shape, from 0 to the number of sorted elements. Among equal ones it goes to the left, or to the right.
template <detail::Sequence Sorted, detail::OnHost X>
requires std::same_as<element_of<Sorted>, element_of<X>>
auto searchsorted(const Sorted& sorted, const X& x, Side side = Side::left) {
  const auto among = detail::plain_values(sorted);
  const auto values = detail::plain_values(x);
  Tensor<std::int64_t, shape_of<X>> places{values.shape()};
  const auto* const from = std::as_const(values).data();
  auto* const to = places.data();
  parallel_for(values.size(), detail::elementwise_grain / 64, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      to[i] = detail::place_among(std::as_const(among).values(), from[i], side);
  });
  return places;
}

/// How often each of the integers 0, 1, ... occurs in ids, of any shape: int64 [classes]. Throws ValueError
/// where an id is not in [0, classes). With weights, it is `scatter_add<0>(zeros<Shape<N>>(), ids, weights)`.
template <detail::OnHost Ids, Index Classes>
requires detail::IndexElement<element_of<Ids>>
auto bincount(const Ids& ids, const Shape<Classes>& classes, Location where = Location::here()) {
  const auto which = detail::plain_values(ids);
  check_indices(Cpu{}, "bincount", "id", which.data(), which.shape(), classes[0], false, where);
  auto counts = zeros<Shape<Classes>, std::int64_t>(classes);
  auto* const to = counts.data();
  for (const auto id : std::as_const(which).values()) ++to[static_cast<Index>(id)];
  return counts;
}
/// The same with a static number of classes: bincount<10>(ids).
template <Index Classes, detail::OnHost Ids>
requires(Classes >= 0 &&
         detail::IndexElement<element_of<Ids>>) auto bincount(const Ids& ids,
                                                              Location where = Location::here()) {
  return bincount(ids, Shape<Classes>{}, where);
}

/// How many elements of x lie between neighbours of `edges` [n], which ascend: int64 [n - 1]. An element on
/// an edge counts above it, one on the last edge below it; elements outside, and NaN, do not count (as
/// NumPy). Throws ValueError where the edges are fewer than two or do not ascend.
template <detail::OnHost X, detail::Sequence Edges>
requires std::same_as<element_of<X>, element_of<Edges>>
auto histogram(const X& x, const Edges& edges, Location where = Location::here()) {
  constexpr Index known = shape_of<Edges>::extents[0];
  constexpr Index bins = known == dyn ? dyn : std::max<Index>(known - 1, 0);
  const auto limits = detail::plain_values(edges);
  const auto values = detail::plain_values(x);
  const auto all = std::as_const(limits).values();
  if (all.size() < 2 || !std::ranges::is_sorted(all))
    throw ValueError("histogram: edges are at least two, and ascend" + at(where));
  const auto count = static_cast<Index>(all.size()) - 1;
  auto counts = zeros<Shape<bins>, std::int64_t>(Shape<bins>{{count}});
  auto* const to = counts.data();
  for (const auto value : std::as_const(values).values())
    if (value >= all.front() && value <= all.back())
      ++to[std::min(detail::place_among(all, value, Side::right), count) - 1];
  return counts;
}

/// The different elements of a tensor; see `unique`.
template <class T, class S>
struct Unique {
  Tensor<T, Shape<dyn>> values;             ///< in ascending order
  Tensor<std::int64_t, S> places;           ///< which of the values each element is, of its shape
  Tensor<std::int64_t, Shape<dyn>> counts;  ///< how often each value occurs
};

/// The different elements of x: `auto [values, places, counts] = unique(x)`, so that
/// `gather<0>(values, places)` is x. All NaN are one value, the last.
template <detail::OnHost X>
auto unique(const X& x) {
  using T = element_of<X>;
  const auto elements = detail::plain_values(x);
  const auto order = argsort(flatten(elements));
  const T* const from = std::as_const(elements).data();
  const auto* const place = order.data();
  const auto same = [](T a, T b) { return a == b || (a != a && b != b); };
  const auto begins = [&](Index r) { return r == 0 || !same(from[place[r]], from[place[r - 1]]); };
  Index count = 0;
  for (Index r = 0; r < elements.size(); ++r) count += begins(r) ? 1 : 0;
  Unique<T, shape_of<X>> result{Tensor<T, Shape<dyn>>{Shape<dyn>{{count}}},
                                Tensor<std::int64_t, shape_of<X>>{elements.shape()},
                                zeros<Shape<dyn>, std::int64_t>(Shape<dyn>{{count}})};
  T* const values = result.values.data();
  auto *const places = result.places.data(), *const counts = result.counts.data();
  for (Index r = 0, k = -1; r < elements.size(); ++r) {
    if (begins(r)) values[++k] = from[place[r]];
    places[place[r]] = k;
    ++counts[k];
  }
  return result;
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct searchsorted;
struct histogram;
struct bincount;
}  // namespace operation
template <Expression Sorted, Expression X>
requires(!detail::Sequence<Sorted> ||
         !std::same_as<element_of<Sorted>, element_of<X>>) auto searchsorted(const Sorted&, const X&,
                                                                             Side = Side::left)
    -> std::conditional_t<
        std::same_as<element_of<Sorted>, element_of<X>>,
        misuse::shapes_do_not_fit<operation::searchsorted, shape_of<Sorted>, shape_of<X>>,
        misuse::element_types_are_refused<operation::searchsorted, element_of<Sorted>, element_of<X>>>;
template <Expression X, Expression Edges>
requires(!detail::Sequence<Edges> ||
         !std::same_as<element_of<X>, element_of<Edges>>) auto histogram(const X&, const Edges&,
                                                                         Location = {})
    -> std::conditional_t<
        std::same_as<element_of<X>, element_of<Edges>>,
        misuse::shapes_do_not_fit<operation::histogram, shape_of<X>, shape_of<Edges>>,
        misuse::element_types_are_refused<operation::histogram, element_of<X>, element_of<Edges>>>;
template <Index Classes, Expression Ids>
requires(!detail::IndexElement<element_of<Ids>>) auto bincount(const Ids&, Location = {})
    -> misuse::element_types_are_refused<operation::bincount, element_of<Ids>>;

}  // namespace burrow
