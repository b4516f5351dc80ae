// Tuple: the values that expressions are made of, and apply. Both do what the standard's do, in a fraction of
// the compile time: std::apply checks the whole call for exceptions before it makes it, and std::tuple is a
// chain of classes with constructors, where up to three values are plain members here.
#pragma once

#include <cstddef>
#include <utility>

namespace burrow::detail {

template <std::size_t I, class T>
struct TupleElement {
  [[no_unique_address]] T value;
};

template <class Indices, class... T>
struct TupleElements;
template <std::size_t... I, class... T>
struct TupleElements<std::index_sequence<I...>, T...> : TupleElement<I, T>... {
  constexpr explicit TupleElements(T... values) : TupleElement<I, T>{std::move(values)}... {}
};

/// Values of the types T, which are given in braces.
template <class... T>
struct Tuple : TupleElements<std::index_sequence_for<T...>, T...> {
  using TupleElements<std::index_sequence_for<T...>, T...>::TupleElements;
};
template <class A>
struct Tuple<A> {
  A first;
};
template <class A, class B>
struct Tuple<A, B> {
  A first;
  B second;
};
template <class A, class B, class C>
struct Tuple<A, B, C> {
  A first;
  B second;
  C third;
};
template <class... T>
Tuple(T...) -> Tuple<T...>;

template <std::size_t I, class T>
constexpr T& get(TupleElement<I, T>& element) {
  return element.value;
}
template <std::size_t I, class T>
constexpr const T& get(const TupleElement<I, T>& element) {
  return element.value;
}
template <std::size_t I, class Few>
requires requires(Few& values) { values.first; }
constexpr auto& get(Few& values) {
  if constexpr (I == 0)
    return values.first;
  else if constexpr (I == 1)
    return values.second;
  else
    return values.third;
}

/// f of all values.
template <class F, class A>
[[gnu::always_inline]] constexpr decltype(auto) apply(const F& f, Tuple<A>& values) {
  return f(values.first);
}
template <class F, class A>
[[gnu::always_inline]] constexpr decltype(auto) apply(const F& f, const Tuple<A>& values) {
  return f(values.first);
}
template <class F, class A, class B>
[[gnu::always_inline]] constexpr decltype(auto) apply(const F& f, Tuple<A, B>& values) {
  return f(values.first, values.second);
}
template <class F, class A, class B>
[[gnu::always_inline]] constexpr decltype(auto) apply(const F& f, const Tuple<A, B>& values) {
  return f(values.first, values.second);
}
template <class F, class A, class B, class C>
[[gnu::always_inline]] constexpr decltype(auto) apply(const F& f, Tuple<A, B, C>& values) {
  return f(values.first, values.second, values.third);
}
template <class F, class A, class B, class C>
[[gnu::always_inline]] constexpr decltype(auto) apply(const F& f, const Tuple<A, B, C>& values) {
  return f(values.first, values.second, values.third);
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
