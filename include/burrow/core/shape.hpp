// Extents in the type: Shape<2, dyn, 512>. Static and dynamic extents mix freely; the rank is always static.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <burrow/core/error.hpp>

namespace burrow {

/// Signed index and extent type of the whole library.
using Index = std::int64_t;

/// Marks an extent that is known at run time.
inline constexpr Index dyn = -1;

namespace detail {
[[gnu::cold, gnu::noinline]] inline void add_shape(Message& message, const Index* extents, std::size_t rank) {
  message.add("Shape<");
  for (std::size_t i = 0; i < rank; ++i) {
    if (i > 0) message.add(", ");
    if (extents[i] == dyn)
      message.add("dyn");
    else
      message.add(extents[i]);
  }
  message.add(">");
}

[[gnu::cold]] inline std::string shape_text(const Index* extents, std::size_t rank) {
  Message message;
  add_shape(message, extents, rank);
  return message.text();
}

[[noreturn, gnu::cold, gnu::noinline]] inline void shape_does_not_fit(const Index* values,
                                                                      const Index* extents, std::size_t rank,
                                                                      Location where) {
  Message message;
  add_shape(message.add("Shape: "), values, rank);
  add_shape(message.add(" does not fit "), extents, rank);
  throw ShapeError(message.add(where).text());
}
}  // namespace detail

/// The extents of a tensor, row-major. A dynamic extent's value is given to the constructor.
template <Index... Extents>
class Shape {
  static_assert(((Extents >= 0 || Extents == dyn) && ...), "Shape: an extent is a number >= 0, or dyn");

 public:
  static constexpr int rank = sizeof...(Extents);
  static constexpr std::array<Index, sizeof...(Extents)> extents{Extents...};
  static constexpr bool is_static = ((Extents != dyn) && ...);

  constexpr Shape() = default;

  /// All extents, the static ones too; throws ShapeError where a static extent is contradicted.
  constexpr explicit Shape(const std::array<Index, sizeof...(Extents)>& values,
                           Location where = Location::here()) {
    if constexpr (!is_static) values_ = values;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i] < 0 || (extents[i] != dyn && extents[i] != values[i]))
        detail::shape_does_not_fit(values.data(), extents.data(), values.size(), where);
  }

  /// Extent of one axis; a negative axis counts from the end.
  constexpr Index operator[](int axis) const {
    return values()[static_cast<std::size_t>(axis < 0 ? axis + rank : axis)];
  }

  /// Number of elements.
  constexpr Index size() const {
    if constexpr (is_static) return (Index{1} * ... * Extents);
    Index product = 1;
    for (const Index value : values()) product *= value;
    return product;
  }

  constexpr const std::array<Index, sizeof...(Extents)>& values() const {
    if constexpr (is_static)
      return extents;
    else
      return values_;
  }

  /// "Shape<2, 7, 512>" with the values of dynamic extents.
  std::string text() const { return detail::shape_text(values().data(), extents.size()); }

  friend constexpr bool operator==(const Shape& a, const Shape& b) { return a.values() == b.values(); }

 private:
  struct Nothing {};
  // Nothing is kept of what the type says.
  static constexpr auto initial() {
    if constexpr (is_static)
      return Nothing{};
    else
      return std::array<Index, sizeof...(Extents)>{(Extents == dyn ? 0 : Extents)...};
  }
  [[no_unique_address]] decltype(initial()) values_ = initial();
};

namespace detail {

template <class S>
inline constexpr bool is_shape = false;
template <Index... E>
inline constexpr bool is_shape<Shape<E...>> = true;

template <std::size_t N>
constexpr std::array<Index, N> row_major_strides(const std::array<Index, N>& values) {
  std::array<Index, N> strides{};
  Index step = 1;
  for (std::size_t i = N; i-- > 0;) {
    strides[i] = step;
    step *= values[i];
  }
  return strides;
}

/// Throws ShapeError: "<operation>: <what> Shape<...> <between> Shape<...> [file:line]".
[[noreturn, gnu::cold, gnu::noinline]] inline void shapes_differ(const char* operation, const char* what,
                                                                 std::span<const Index> a,
                                                                 const char* between,
                                                                 std::span<const Index> b, Location where) {
  std::string text = operation;
  text.append(": ").append(what).append(shape_text(a.data(), a.size())).append(between);
  throw ShapeError(text.append(shape_text(b.data(), b.size())).append(at(where)));
}

[[noreturn, gnu::cold, gnu::noinline]] inline void shapes_do_not_broadcast(std::string_view operation,
                                                                           std::span<const Index> a,
                                                                           std::span<const Index> b,
                                                                           Location where) {
  throw ShapeError(std::string(operation) + ": " + shape_text(a.data(), a.size()) + " and " +
                   shape_text(b.data(), b.size()) + " do not broadcast (only a static 1 does)" + at(where));
}

/// True where an array of these extents and strides shows an element of memory more than once. Of views, only
/// broadcast ones do, whose stride is 0.
constexpr bool repeats_elements(std::span<const Index> extents, std::span<const Index> strides) {
  for (std::size_t i = 0; i < extents.size(); ++i)
    if (strides[i] == 0 && extents[i] > 1) return true;
  return false;
}

/// The extent of two broadcast extents, or -2 where they do not fit.
constexpr Index broadcast_extent(Index a, Index b) {
  if (a == b || b == 1) return a;
  if (a == 1 || a == dyn) return b;
  return b == dyn ? a : -2;
}

/// Extent of axis `axis` of an array aligned to the right in `rank` axes; missing axes have extent 1.
template <std::size_t N>
constexpr Index aligned_extent(const std::array<Index, N>& extents, std::size_t rank, std::size_t axis) {
  return axis + N < rank ? 1 : extents[axis + N - rank];
}

template <class A, class B>
struct broadcast_pair {
  static constexpr std::size_t rank = static_cast<std::size_t>(A::rank > B::rank ? A::rank : B::rank);
  static constexpr std::array<Index, rank> extents = [] {
    std::array<Index, rank> result{};
    for (std::size_t i = 0; i < rank; ++i)
      result[i] = broadcast_extent(aligned_extent(A::extents, rank, i), aligned_extent(B::extents, rank, i));
    return result;
  }();
  static constexpr bool fits = [] {
    for (const Index e : extents)
      if (e == -2) return false;
    return true;
  }();
};

template <class Table, class Indices>
struct shape_from;
template <class Table, std::size_t... I>
struct shape_from<Table, std::index_sequence<I...>> {
  using type = Shape<Table::extents[I]...>;
};

}  // namespace detail

/// The Shape whose extents are `Table::extents`, a constexpr array.
template <class Table>
using ShapeOf = typename detail::shape_from<Table, std::make_index_sequence<Table::extents.size()>>::type;

/// True where two shapes broadcast: aligned at the last axis, extents are equal, or one is a static 1, or one
/// is dyn. A dynamic extent must equal its partner at run time: what is broadcast is decided by the types
/// alone.
template <class A, class B>
concept Broadcastable = detail::broadcast_pair<A, B>::fits;

/// The shape of two broadcast shapes.
template <class A, class B>
requires Broadcastable<A, B>
using Broadcast = ShapeOf<detail::broadcast_pair<A, B>>;

namespace detail {
template <class A, class B>
constexpr bool extents_match() {
  if (A::rank != B::rank) return false;
  for (std::size_t i = 0; i < A::extents.size(); ++i)
    if (A::extents[i] != B::extents[i] && A::extents[i] != dyn && B::extents[i] != dyn) return false;
  return true;
}
}  // namespace detail

/// True where two shapes are the same, or may be at run time.
template <class A, class B>
concept Matching = detail::extents_match<A, B>();

/// The broadcast of two run-time shapes; throws ShapeError where dynamic extents differ.
template <class A, class B>
constexpr Broadcast<A, B> broadcast(const A& a, const B& b, std::string_view operation = "broadcast",
                                    Location where = Location::here()) {
  using Result = Broadcast<A, B>;
  if constexpr (A::is_static && B::is_static) return Result{};
  std::array<Index, Result::extents.size()> values{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Index static_a = detail::aligned_extent(A::extents, values.size(), i);
    const Index static_b = detail::aligned_extent(B::extents, values.size(), i);
    const Index value_a = detail::aligned_extent(a.values(), values.size(), i);
    const Index value_b = detail::aligned_extent(b.values(), values.size(), i);
    const bool free_a = static_a == 1 && static_b != 1;
    const bool free_b = static_b == 1 && static_a != 1;
    if (!free_a && !free_b && value_a != value_b)
      detail::shapes_do_not_broadcast(operation, a.values(), b.values(), where);
    values[i] = free_a ? value_b : value_a;
  }
  return Result{values};
}

template <Index... E>
std::ostream& operator<<(std::ostream& out, const Shape<E...>& shape) {
  return out << shape.text();
}

}  // namespace burrow
