// Tuple: the values that expressions are made of, and apply. Both do what the standard's do, in a fraction of
// the compile time: std::apply checks the whole call for exceptions before it makes it, and std::tuple is a
// chain of classes.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace burrow::detail {

template <std::size_t I, class T>
struct TupleElement {
  [[no_unique_address]] T value;
};

/// Says that a tuple's values are made in their places.
struct MadeBy {};

template <class Indices, class... T>
struct TupleElements;
template <std::size_t... I, class... T>
struct TupleElements<std::index_sequence<I...>, T...> : TupleElement<I, T>... {
  constexpr explicit TupleElements(T&&... values) : TupleElement<I, T>{std::move(values)}... {}
  template <class F>
  constexpr TupleElements(MadeBy, const F& make)
      : TupleElement<I, T>{make(std::integral_constant<std::size_t, I>{})}... {}
};

/// Values of the types T.
template <class... T>
struct Tuple : TupleElements<std::index_sequence_for<T...>, T...> {
  constexpr explicit Tuple(T... values)
      : TupleElements<std::index_sequence_for<T...>, T...>{std::move(values)...} {}
  /// Of make(0), make(1), ..., without moving them; the numbers are integral constants.
  template <class F>
  constexpr Tuple(MadeBy by, const F& make) : TupleElements<std::index_sequence_for<T...>, T...>{by, make} {}
};

template <std::size_t I, class T>
constexpr T& get(TupleElement<I, T>& element) {
  return element.value;
}
template <std::size_t I, class T>
constexpr const T& get(const TupleElement<I, T>& element) {
  return element.value;
}

template <class F, std::size_t... I, class... T>
[[gnu::always_inline]] constexpr decltype(auto) apply(const F& f,
                                                      TupleElements<std::index_sequence<I...>, T...>& tuple) {
  return f(get<I>(tuple)...);
}
template <class F, std::size_t... I, class... T>
[[gnu::always_inline]] constexpr decltype(auto) apply(
    const F& f, const TupleElements<std::index_sequence<I...>, T...>& tuple) {
  return f(get<I>(tuple)...);
}

}  // namespace burrow::detail
