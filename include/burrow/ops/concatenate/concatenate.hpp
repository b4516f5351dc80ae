// Tensors joined along an axis: concatenate along one they have, stack along one they get.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include <burrow/ops/parts.hpp>
#include <burrow/tensor/slicing.hpp>

namespace burrow {

namespace detail {

/// The operand that is not given.
struct NoOperand {};
template <class E>
concept JoinOperand = Expression<E> || std::same_as<E, NoOperand>;

constexpr Index known_extent(Index a, Index b) { return a == dyn ? b : a; }

/// The axes of N arrays side by side, `copies` times each; dyn where one extent is.
template <bool Stacked, std::size_t Rank, std::size_t N>
constexpr auto joined_extents(const std::array<std::array<Index, Rank>, N>& parts, std::size_t axis,
                              Index copies) {
  std::array<Index, Rank + (Stacked ? 1 : 0)> result{};
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (Stacked && i == axis) continue;
    result[i] = dyn;
    for (const auto& extents : parts) result[i] = known_extent(result[i], extents[i - (Stacked && i > axis)]);
  }
  Index joined = 0;
  for (const auto& extents : parts) {
    const Index extent = Stacked ? 1 : extents[axis];
    joined = joined == dyn || extent == dyn ? dyn : joined + extent;
  }
  result[axis] = joined == dyn || copies == dyn ? dyn : joined * copies;
  return result;
}

/// True where extents agree, but along `axis`, or may at run time.
template <std::size_t Rank, std::size_t N>
constexpr bool join_fits(const std::array<std::array<Index, Rank>, N>& parts, std::size_t skipped) {
  for (std::size_t i = 0; i < Rank; ++i) {
    Index extent = dyn;
    for (const auto& extents : parts) {
      extent = known_extent(extent, extents[i]);
      if (i != skipped && extents[i] != dyn && extents[i] != extent) return false;
    }
  }
  return true;
}

template <int Axis, bool Stacked, Index Copies, class... S>
struct Joined {
  static constexpr std::size_t rank = std::max({S::extents.size()...});
  static constexpr bool same_rank = ((S::extents.size() == rank) && ...);
  static constexpr int axes = static_cast<int>(rank) + (Stacked ? 1 : 0);
  static constexpr bool has_axis = Axis >= -axes && Axis < axes;
  static constexpr std::size_t axis = static_cast<std::size_t>(Axis < 0 ? Axis + axes : Axis);
  static constexpr std::size_t skipped = Stacked ? rank : axis;
  static constexpr int gapless = static_cast<int>(rank) - static_cast<int>(axis);
  static constexpr bool fits = [] {
    if constexpr (same_rank && has_axis)
      return join_fits(std::array<std::array<Index, rank>, sizeof...(S)>{S::extents...}, skipped);
    else
      return false;
  }();
  static constexpr auto extents = [] {
    if constexpr (fits)
      return joined_extents<Stacked>(std::array<std::array<Index, rank>, sizeof...(S)>{S::extents...}, axis,
                                     Copies);
    else
      return std::array<Index, 0>{};
  }();

  using Place = PartPlace<gapless, rank>;

  /// The place of a part in a result of the given strides, `start` along the axis.
  static Place place(const std::array<Index, extents.size()>& strides, Index start) {
    Place result{start * strides[axis], {}};
    for (std::size_t i = 0; i < rank; ++i) result.strides[i] = strides[Stacked && i >= axis ? i + 1 : i];
    return result;
  }

  /// How far the next part is along the axis.
  template <class Node>
  static Index extent_of(const Node& node) {
    if constexpr (Stacked)
      return 1;
    else
      return node.shape().values()[axis];
  }

  template <std::size_t R>
  static void check(const std::array<Index, R>& first, const std::array<Index, R>& other, Location where) {
    if (!join_fits(std::array{first, other}, skipped))
      throw ShapeError(std::string(Stacked ? "stack: " : "concatenate: ") +
                       shape_text(first.data(), first.size()) + " and " +
                       shape_text(other.data(), other.size()) + " differ" +
                       (Stacked ? "" : " beyond axis " + std::to_string(axis)) + at(where));
  }
};

template <int Axis, bool Stacked, class... E>
auto join(Location where, const E&... e) {
  using Plan = Joined<Axis, Stacked, 1, shape_of<E>...>;
  using First = std::tuple_element_t<0, std::tuple<E...>>;
  using T = typename functors::detail::promote_all<element_of<E>...>::type;
  using D = device_of<First>;
  const auto tape = tape_of(e...);
  const std::tuple<decltype(bound(tape, to_node(cast<T>(e))))...> nodes{bound(tape, to_node(cast<T>(e)))...};
  const std::array<std::array<Index, Plan::rank>, sizeof...(E)> parts{e.shape().values()...};
  for (const auto& extents : parts) Plan::check(parts[0], extents, where);
  Tensor<T, ShapeOf<Plan>, D> y{ShapeOf<Plan>{joined_extents<Stacked>(parts, Plan::axis, 1)}};
  const auto strides = row_major_strides(y.shape().values());
  const auto for_each = [strides](const auto& all, const auto& f) {
    std::apply(
        [&](const auto&... node) {
          Index start = 0;
          const auto next = [&](const auto& n) {
            f(n, Plan::place(strides, start));
            start += Plan::extent_of(n);
          };
          (next(node), ...);
        },
        all);
  };
  for_each(nodes, [&](const auto& node, const auto& place) { place.write(node, y); });
  return std::apply(
      [&](const auto&... node) {
        return record(
            tape, Stacked ? "stack" : "concatenate", y,
            [nodes, for_each](const auto& dy) {
              for_each(nodes, [&](const auto& n, const auto& place) { place.add_gradient_of(n, dy); });
            },
            node...);
      },
      nodes);
}

/// A list of tensors of one type: std::vector, std::array, std::span.
template <class List>
concept ExpressionList = !Expression<List> && requires(const List& list) {
  { list.size() } -> std::convertible_to<std::size_t>;
  list[0];
  requires Expression<std::remove_cvref_t<decltype(list[0])>>;
};

template <class List>
inline constexpr Index static_count = dyn;
template <class E, std::size_t N>
inline constexpr Index static_count<std::array<E, N>> = static_cast<Index>(N);

template <int Axis, bool Stacked, class List>
auto join_list(Location where, const List& list) {
  using E = std::remove_cvref_t<decltype(list[0])>;
  using Plan = Joined<Axis, Stacked, static_count<List>, shape_of<E>>;
  using T = element_of<E>;
  if (list.size() == 0)
    throw ShapeError(std::string(Stacked ? "stack" : "concatenate") + ": the list is empty" + at(where));
  const auto tape = tape_of(list[0]);
  using Node = decltype(bound(tape, to_node(list[0])));
  std::vector<Node, PoolAllocator<Node>> nodes;
  nodes.reserve(list.size());
  auto values = joined_extents<Stacked>(
      std::array<std::array<Index, Plan::rank>, 1>{list[0].shape().values()}, Plan::axis, 1);
  values[Plan::axis] = 0;
  for (std::size_t k = 0; k < list.size(); ++k) {
    Plan::check(list[0].shape().values(), list[k].shape().values(), where);
    nodes.push_back(bound(tape, to_node(list[k])));
    values[Plan::axis] += Plan::extent_of(nodes.back());
  }
  Tensor<T, ShapeOf<Plan>, device_of<E>> y{ShapeOf<Plan>{values}};
  const auto strides = row_major_strides(values);
  const auto for_each = [strides](const auto& all, const auto& f) {
    Index start = 0;
    for (const Node& node : all) {
      f(node, Plan::place(strides, start));
      start += Plan::extent_of(node);
    }
  };
  for_each(nodes, [&](const Node& node, const auto& place) { place.write(node, y); });
  const char* const name = Stacked ? "stack" : "concatenate";
  const auto backward = [nodes, for_each](const auto& dy) {
    for_each(nodes, [&](const Node& n, const auto& place) { place.add_gradient_of(n, dy); });
  };
  if constexpr (decltype(tape)::tracing) {
    const bool wanted = std::any_of(nodes.begin(), nodes.end(),
                                    [&](const Node& node) { return any_wanted(*tape.tape, node); });
    return record_wanted(tape, name, y, backward, wanted);
  } else {
    return record(tape, name, y, backward);
  }
}

/// f(operands...) without those that are not given.
template <class F, class... E>
auto with_given(const F& f, const E&... e) {
  constexpr std::size_t count = ((std::same_as<E, NoOperand> ? 0 : 1) + ...);
  const std::tuple<const E&...> all{e...};
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return f(std::get<I>(all)...); }
  (std::make_index_sequence<count>{});
}

/// True where the given operands can be joined, as far as the compiler knows.
template <int Axis, bool Stacked, class... E>
inline constexpr bool can_join = [] {
  constexpr std::size_t count = ((std::same_as<E, NoOperand> ? 0 : 1) + ...);
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return Joined<Axis, Stacked, 1, shape_of<std::tuple_element_t<I, std::tuple<E...>>>...>::fits;
  }
  (std::make_index_sequence<count>{});
}();
template <class List>
using expression_in = std::remove_cvref_t<decltype(std::declval<const List&>()[0])>;

}  // namespace detail

/// The operands one after the other along an axis: extents [.., n1, ..] and [.., n2, ..] give [.., n1 + n2,
/// ..], static where all are. Up to eight operands; expressions are computed straight into their place. The
/// element type is the one that all promote to. Throws ShapeError where other extents differ; where they are
/// static, that does not compile. Gradient: each operand gets its part of it.
template <int Axis, Expression A, detail::JoinOperand B = detail::NoOperand,
          detail::JoinOperand C = detail::NoOperand, detail::JoinOperand D = detail::NoOperand,
          detail::JoinOperand E = detail::NoOperand, detail::JoinOperand F = detail::NoOperand,
          detail::JoinOperand G = detail::NoOperand, detail::JoinOperand H = detail::NoOperand>
requires detail::can_join<Axis, false, A, B, C, D, E, F, G, H>
auto concatenate(const A& a, const B& b = {}, const C& c = {}, const D& d = {}, const E& e = {},
                 const F& f = {}, const G& g = {}, const H& h = {}, Location where = Location::here()) {
  return detail::with_given([&](const auto&... x) { return detail::join<Axis, false>(where, x...); }, a, b, c,
                            d, e, f, g, h);
}

/// The same of a list of tensors of one type (std::vector, std::array). The extent along the axis is static
/// for an array of tensors of static extent.
template <int Axis, detail::ExpressionList List>
requires detail::can_join<Axis, false, detail::expression_in<List>>
auto concatenate(const List& list, Location where = Location::here()) {
  return detail::join_list<Axis, false>(where, list);
}

/// Operands of one shape side by side along an axis that the result gets, at place Axis of its axes:
/// stack<0>(a, b) is [2, ...]. Otherwise as `concatenate`.
template <int Axis, Expression A, detail::JoinOperand B = detail::NoOperand,
          detail::JoinOperand C = detail::NoOperand, detail::JoinOperand D = detail::NoOperand,
          detail::JoinOperand E = detail::NoOperand, detail::JoinOperand F = detail::NoOperand,
          detail::JoinOperand G = detail::NoOperand, detail::JoinOperand H = detail::NoOperand>
requires detail::can_join<Axis, true, A, B, C, D, E, F, G, H>
auto stack(const A& a, const B& b = {}, const C& c = {}, const D& d = {}, const E& e = {}, const F& f = {},
           const G& g = {}, const H& h = {}, Location where = Location::here()) {
  return detail::with_given([&](const auto&... x) { return detail::join<Axis, true>(where, x...); }, a, b, c,
                            d, e, f, g, h);
}

/// The same of a list of tensors of one type.
template <int Axis, detail::ExpressionList List>
requires detail::can_join<Axis, true, detail::expression_in<List>>
auto stack(const List& list, Location where = Location::here()) {
  return detail::join_list<Axis, true>(where, list);
}

// What joins refuse.
namespace operation {
struct concatenate;
struct stack;
}  // namespace operation
template <int Axis, Expression... E>
requires(sizeof...(E) > 0 && !detail::can_join<Axis, false, E...>) auto concatenate(const E&...)
    -> misuse::shapes_do_not_fit<operation::concatenate, shape_of<E>...>;
template <int Axis, Expression... E>
requires(sizeof...(E) > 0 && !detail::can_join<Axis, true, E...>) auto stack(const E&...)
    -> misuse::shapes_do_not_fit<operation::stack, shape_of<E>...>;

}  // namespace burrow
