// Elementwise functions and operators on expressions: x + y, exp(x), where(x > 0, x, y). All are lazy.
#pragma once

#include <burrow/tensor/expression.hpp>
#include <burrow/tensor/functors.hpp>

namespace burrow {

// Operands that do not fit give a type of burrow::misuse instead of a Map.

template <class A, class B>
requires Elementwise<A, B>
auto operator+(const A& a, const B& b) -> detail::Pair<functors::Add, A, B> {
  return detail::map_pair(functors::Add{}, a, b);
}
template <class A, class B>
requires Elementwise<A, B>
auto operator-(const A& a, const B& b) -> detail::Pair<functors::Subtract, A, B> {
  return detail::map_pair(functors::Subtract{}, a, b);
}
template <class A, class B>
requires Elementwise<A, B>
auto operator*(const A& a, const B& b) -> detail::Pair<functors::Multiply, A, B> {
  return detail::map_pair(functors::Multiply{}, a, b);
}
template <class A, class B>
requires Elementwise<A, B>
auto operator/(const A& a, const B& b) -> detail::Pair<functors::Divide, A, B> {
  return detail::map_pair(functors::Divide{}, a, b);
}
template <class A, class B>
requires Elementwise<A, B>
auto operator<(const A& a, const B& b) -> detail::Pair<functors::Less, A, B> {
  return detail::map_pair(functors::Less{}, a, b);
}
template <class A, class B>
requires Elementwise<A, B>
auto operator<=(const A& a, const B& b) -> detail::Pair<functors::LessEqual, A, B> {
  return detail::map_pair(functors::LessEqual{}, a, b);
}
template <class A, class B>
requires Elementwise<A, B>
auto operator>(const A& a, const B& b) -> detail::Pair<functors::Less, B, A> { return b < a; }
template <class A, class B>
requires Elementwise<A, B>
auto operator>=(const A& a, const B& b) -> detail::Pair<functors::LessEqual, B, A> { return b <= a; }
template <class A, class B>
requires Elementwise<A, B>
auto operator==(const A& a, const B& b) -> detail::Pair<functors::Equal, A, B> {
  return detail::map_pair(functors::Equal{}, a, b);
}
template <class A, class B>
requires Elementwise<A, B>
auto operator!=(const A& a, const B& b) -> detail::Pair<functors::NotEqual, A, B> {
  return detail::map_pair(functors::NotEqual{}, a, b);
}
template <Expression A, Expression B>
detail::Mapped<functors::And, A, B> operator&&(const A& a, const B& b) {
  return map(functors::And{}, a, b);
}
template <Expression A, Expression B>
detail::Mapped<functors::Or, A, B> operator||(const A& a, const B& b) {
  return map(functors::Or{}, a, b);
}

template <Expression A>
auto operator-(const A& a) {
  return map(functors::Negate{}, a);
}
template <Expression A>
auto operator!(const A& a) {
  return map(functors::Not{}, a);
}

/// The larger of two, element by element; a gradient goes to the first where both are equal.
template <class A, class B>
requires Elementwise<A, B>
auto maximum(const A& a, const B& b) -> detail::Pair<functors::Maximum, A, B> {
  return detail::map_pair(functors::Maximum{}, a, b);
}
/// The smaller of two, element by element; a gradient goes to the first where both are equal.
template <class A, class B>
requires Elementwise<A, B>
auto minimum(const A& a, const B& b) -> detail::Pair<functors::Minimum, A, B> {
  return detail::map_pair(functors::Minimum{}, a, b);
}
/// a to the power of b.
template <class A, class B>
requires Elementwise<A, B>
auto pow(const A& a, const B& b) -> detail::Pair<functors::Power, A, B> {
  return detail::map_pair(functors::Power{}, a, b);
}

template <Expression X>
auto exp(const X& x) {
  return map(functors::Exp{}, x);
}
template <Expression X>
auto expm1(const X& x) {
  return map(functors::Expm1{}, x);
}
template <Expression X>
auto log(const X& x) {
  return map(functors::Log{}, x);
}
template <Expression X>
auto log1p(const X& x) {
  return map(functors::Log1p{}, x);
}
template <Expression X>
auto sqrt(const X& x) {
  return map(functors::Sqrt{}, x);
}
template <Expression X>
auto square(const X& x) {
  return map(functors::Square{}, x);
}
template <Expression X>
auto abs(const X& x) {
  return map(functors::Abs{}, x);
}
template <Expression X>
auto sin(const X& x) {
  return map(functors::Sin{}, x);
}
template <Expression X>
auto cos(const X& x) {
  return map(functors::Cos{}, x);
}
template <Expression X>
auto tanh(const X& x) {
  return map(functors::Tanh{}, x);
}
template <Expression X>
auto erf(const X& x) {
  return map(functors::Erf{}, x);
}
/// 1 / (1 + e^-x).
template <Expression X>
auto sigmoid(const X& x) {
  return map(functors::Sigmoid{}, x);
}
template <Expression X>
auto relu(const X& x) {
  return map(functors::Relu{}, x);
}
/// x sigmoid(x).
template <Expression X>
auto silu(const X& x) {
  return map(functors::Silu{}, x);
}
/// GELU in GPT-2's tanh form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
template <Expression X>
auto gelu(const X& x) {
  return map(functors::Gelu{}, x);
}
/// log(1 + e^x).
template <Expression X>
auto softplus(const X& x) {
  return map(functors::Softplus{}, x);
}

/// The same values as elements of type T; the expression itself where they are already.
template <Element T, Expression X>
auto cast(const X& x) {
  if constexpr (std::same_as<T, element_of<X>>)
    return detail::to_node(x);
  else
    return map(functors::Cast<T>{}, x);
}

namespace detail {
template <class Condition, class A, class B>
using Selected = std::conditional_t<
    std::same_as<element_of<Condition>, bool>,
    typename mapped<functors::Where, node_of<Condition>, pair_node_of<B, A>, pair_node_of<A, B>>::type,
    misuse::element_types_are_refused<functors::Where, element_of<Condition>>>;
}  // namespace detail

/// a where the condition, of bool, is true, b elsewhere; a and b may be numbers, but not both.
template <Expression Condition, class A, class B>
requires Elementwise<A, B> detail::Selected<Condition, A, B> where(const Condition& condition, const A& a,
                                                                   const B& b) {
  return detail::Selected<Condition, A, B>{functors::Where{}, detail::to_node(condition),
                                           detail::pair_node<B>(a), detail::pair_node<A>(b)};
}

namespace functors {
/// A function given as a lambda on packets.
template <class F>
struct Lambda : Arithmetic {
  static constexpr const char* name = "elementwise";
  [[no_unique_address]] F function;
  auto operator()(auto... x) const { return function(x...); }
};
}  // namespace functors

/// An elementwise function made from one lambda: `constexpr auto mish = elementwise([](auto x) { return x *
/// tanh(log1p(exp(x))); })`. The lambda calls the functions of packets (exp, log1p, tanh, select ...); its
/// derivative is found at compile time.
template <class F>
constexpr auto elementwise(F function) {
  return [function](const Expression auto&... x)
             -> detail::Mapped<functors::Lambda<F>, std::remove_cvref_t<decltype(x)>...> {
    return map(functors::Lambda<F>{{}, function}, x...);
  };
}

}  // namespace burrow
