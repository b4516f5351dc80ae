// Elementwise functions and operators on expressions: x + y, exp(x), where(x > 0, x, y). All are lazy.
#pragma once

#include <burrow/tensor/expression.hpp>
#include <burrow/tensor/functors.hpp>

namespace burrow {

template <class A, class B>
requires Compatible<A, B>
auto operator+(const A& a, const B& b) { return detail::map_pair(functors::Add{}, a, b); }
template <class A, class B>
requires Compatible<A, B>
auto operator-(const A& a, const B& b) { return detail::map_pair(functors::Subtract{}, a, b); }
template <class A, class B>
requires Compatible<A, B>
auto operator*(const A& a, const B& b) { return detail::map_pair(functors::Multiply{}, a, b); }
template <class A, class B>
requires Compatible<A, B>
auto operator/(const A& a, const B& b) { return detail::map_pair(functors::Divide{}, a, b); }
template <class A, class B>
requires Compatible<A, B>
auto operator<(const A& a, const B& b) { return detail::map_pair(functors::Less{}, a, b); }
template <class A, class B>
requires Compatible<A, B>
auto operator<=(const A& a, const B& b) { return detail::map_pair(functors::LessEqual{}, a, b); }
template <class A, class B>
requires Compatible<A, B>
auto operator>(const A& a, const B& b) { return b < a; }
template <class A, class B>
requires Compatible<A, B>
auto operator>=(const A& a, const B& b) { return b <= a; }
template <class A, class B>
requires Compatible<A, B>
auto operator==(const A& a, const B& b) { return detail::map_pair(functors::Equal{}, a, b); }
template <class A, class B>
requires Compatible<A, B>
auto operator!=(const A& a, const B& b) { return detail::map_pair(functors::NotEqual{}, a, b); }
template <Expression A, Expression B>
requires Compatible<A, B>
auto operator&&(const A& a, const B& b) { return map(functors::And{}, a, b); }
template <Expression A, Expression B>
requires Compatible<A, B>
auto operator||(const A& a, const B& b) { return map(functors::Or{}, a, b); }

// Operands that do not broadcast; deleted so that the error stands in the user's line and names both types.
template <class A, class B>
requires Incompatible<A, B>
auto operator+(const A& a, const B& b) = delete;
template <class A, class B>
requires Incompatible<A, B>
auto operator-(const A& a, const B& b) = delete;
template <class A, class B>
requires Incompatible<A, B>
auto operator*(const A& a, const B& b) = delete;
template <class A, class B>
requires Incompatible<A, B>
auto operator/(const A& a, const B& b) = delete;

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
requires Compatible<A, B>
auto maximum(const A& a, const B& b) { return detail::map_pair(functors::Maximum{}, a, b); }
/// The smaller of two, element by element; a gradient goes to the first where both are equal.
template <class A, class B>
requires Compatible<A, B>
auto minimum(const A& a, const B& b) { return detail::map_pair(functors::Minimum{}, a, b); }
/// a to the power of b.
template <class A, class B>
requires Compatible<A, B>
auto pow(const A& a, const B& b) { return detail::map_pair(functors::Power{}, a, b); }

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

/// a where the condition is true, b elsewhere; a and b may be numbers, but not both.
template <Expression Condition, class A, class B>
requires Compatible<A, B> && std::same_as < element_of<Condition>,
bool > auto where(const Condition& condition, const A& a, const B& b) {
  using detail::to_node;
  if constexpr (!Expression<A>) {
    auto number = detail::scalar_node<element_of<B>>(a);
    return Map<functors::Where, detail::node_of<Condition>, decltype(number), detail::node_of<B>>{
        functors::Where{}, to_node(condition), number, to_node(b)};
  } else if constexpr (!Expression<B>) {
    auto number = detail::scalar_node<element_of<A>>(b);
    return Map<functors::Where, detail::node_of<Condition>, detail::node_of<A>, decltype(number)>{
        functors::Where{}, to_node(condition), to_node(a), number};
  } else {
    return map(functors::Where{}, condition, a, b);
  }
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
  return [function](const Expression auto&... x) { return map(functors::Lambda<F>{{}, function}, x...); };
}

}  // namespace burrow
