// Elementwise functions on expressions: exp(x), maximum(x, y), where(x > 0, x, y). All are lazy. Operators
// are in tensor/operators.hpp.
#pragma once

#include <burrow/tensor/elementary_functors.hpp>
#include <burrow/tensor/operators.hpp>

namespace burrow {

// Functions of mathematics. Those of real numbers take integers and bool as float. docs/guide/dtypes.md says
// how accurate they are.

/// The larger of two, element by element, NaN where one is; a gradient goes to the first where both are
/// equal.
template <class A, class B>
requires Elementwise<A, B>
auto maximum(const A& a, const B& b, Location where = Location::here())
    -> detail::Pair<functors::Maximum, A, B> {
  return detail::map_pair(functors::Maximum{}, a, b, where);
}
/// The smaller of two, element by element, NaN where one is; a gradient goes to the first where both are
/// equal.
template <class A, class B>
requires Elementwise<A, B>
auto minimum(const A& a, const B& b, Location where = Location::here())
    -> detail::Pair<functors::Minimum, A, B> {
  return detail::map_pair(functors::Minimum{}, a, b, where);
}
/// x limited to [low, high], NaN where one of the three is; the limits are numbers or expressions. The
/// gradient is 1 from low to high, both included.
template <class X, class Low, class High>
auto clamp(const X& x, const Low& low, const High& high, Location where = Location::here())
    -> decltype(minimum(maximum(x, low), high)) {
  return minimum(maximum(x, low, where), high, where);
}
/// a to the power of b. Powers of integers are integers: they wrap around, and negative ones are truncated.
template <class A, class B>
requires Elementwise<A, B>
auto pow(const A& a, const B& b, Location where = Location::here()) -> detail::Pair<functors::Power, A, B> {
  return detail::map_pair(functors::Power{}, a, b, where);
}
/// e to the power of x; 0 below the smallest normal number.
template <Expression X>
auto exp(const X& x) -> detail::Mapped<functors::Exp, X> {
  return map(functors::Exp{}, x);
}
/// 2 to the power of x; 0 below the smallest normal number.
template <Expression X>
auto exp2(const X& x) -> detail::Mapped<functors::Exp2, X> {
  return map(functors::Exp2{}, x);
}
/// exp(x) - 1, accurate near 0.
template <Expression X>
auto expm1(const X& x) -> detail::Mapped<functors::Expm1, X> {
  return map(functors::Expm1{}, x);
}
/// The natural logarithm; NaN below 0.
template <Expression X>
auto log(const X& x) -> detail::Mapped<functors::Log, X> {
  return map(functors::Log{}, x);
}
/// The logarithm to base 2; NaN below 0.
template <Expression X>
auto log2(const X& x) -> detail::Mapped<functors::Log2, X> {
  return map(functors::Log2{}, x);
}
/// The logarithm to base 10; NaN below 0.
template <Expression X>
auto log10(const X& x) -> detail::Mapped<functors::Log10, X> {
  return map(functors::Log10{}, x);
}
/// log(1 + x), accurate near 0.
template <Expression X>
auto log1p(const X& x) -> detail::Mapped<functors::Log1p, X> {
  return map(functors::Log1p{}, x);
}
/// The square root; NaN below 0. Its gradient is infinite at 0.
template <Expression X>
auto sqrt(const X& x) -> detail::Mapped<functors::Sqrt, X> {
  return map(functors::Sqrt{}, x);
}
/// 1 / sqrt x.
template <Expression X>
auto rsqrt(const X& x) -> detail::Mapped<functors::Rsqrt, X> {
  return map(functors::Rsqrt{}, x);
}
/// The cube root, of negative numbers as well.
template <Expression X>
auto cbrt(const X& x) -> detail::Mapped<functors::Cbrt, X> {
  return map(functors::Cbrt{}, x);
}
/// 1 / x.
template <Expression X>
auto reciprocal(const X& x) -> detail::Mapped<functors::Reciprocal, X> {
  return map(functors::Reciprocal{}, x);
}
/// x^2; of integers an integer.
template <Expression X>
auto square(const X& x) -> detail::Mapped<functors::Square, X> {
  return map(functors::Square{}, x);
}
/// |x|; its gradient is 0 at 0.
template <Expression X>
auto abs(const X& x) -> detail::Mapped<functors::Abs, X> {
  return map(functors::Abs{}, x);
}
/// -1, 0 or 1, and NaN of NaN; its gradient is 0.
template <Expression X>
auto sign(const X& x) -> detail::Mapped<functors::Sign, X> {
  return map(functors::Sign{}, x);
}
/// The sine of x in radians.
template <Expression X>
auto sin(const X& x) -> detail::Mapped<functors::Sin, X> {
  return map(functors::Sin{}, x);
}
/// The cosine of x in radians.
template <Expression X>
auto cos(const X& x) -> detail::Mapped<functors::Cos, X> {
  return map(functors::Cos{}, x);
}
/// The tangent of x in radians.
template <Expression X>
auto tan(const X& x) -> detail::Mapped<functors::Tan, X> {
  return map(functors::Tan{}, x);
}
/// The inverse sine, from -pi/2 to pi/2; NaN outside of [-1, 1].
template <Expression X>
auto asin(const X& x) -> detail::Mapped<functors::Asin, X> {
  return map(functors::Asin{}, x);
}
/// The inverse cosine, from 0 to pi; NaN outside of [-1, 1].
template <Expression X>
auto acos(const X& x) -> detail::Mapped<functors::Acos, X> {
  return map(functors::Acos{}, x);
}
/// The inverse tangent, from -pi/2 to pi/2.
template <Expression X>
auto atan(const X& x) -> detail::Mapped<functors::Atan, X> {
  return map(functors::Atan{}, x);
}
/// The angle of the point (x, y), from -pi to pi.
template <class A, class B>
requires Elementwise<A, B>
auto atan2(const A& y, const B& x, Location where = Location::here()) -> detail::Pair<functors::Atan2, A, B> {
  return detail::map_pair(functors::Atan2{}, y, x, where);
}
/// (exp(x) - exp(-x)) / 2.
template <Expression X>
auto sinh(const X& x) -> detail::Mapped<functors::Sinh, X> {
  return map(functors::Sinh{}, x);
}
/// (exp(x) + exp(-x)) / 2.
template <Expression X>
auto cosh(const X& x) -> detail::Mapped<functors::Cosh, X> {
  return map(functors::Cosh{}, x);
}
/// The hyperbolic tangent, sinh x / cosh x.
template <Expression X>
auto tanh(const X& x) -> detail::Mapped<functors::Tanh, X> {
  return map(functors::Tanh{}, x);
}
/// The inverse of sinh.
template <Expression X>
auto asinh(const X& x) -> detail::Mapped<functors::Asinh, X> {
  return map(functors::Asinh{}, x);
}
/// The inverse of cosh, not below 0; NaN below 1.
template <Expression X>
auto acosh(const X& x) -> detail::Mapped<functors::Acosh, X> {
  return map(functors::Acosh{}, x);
}
/// The inverse of tanh; NaN outside of [-1, 1].
template <Expression X>
auto atanh(const X& x) -> detail::Mapped<functors::Atanh, X> {
  return map(functors::Atanh{}, x);
}
/// The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
template <Expression X>
auto erf(const X& x) -> detail::Mapped<functors::Erf, X> {
  return map(functors::Erf{}, x);
}
/// sqrt(a^2 + b^2) without overflow.
template <class A, class B>
requires Elementwise<A, B>
auto hypot(const A& a, const B& b, Location where = Location::here()) -> detail::Pair<functors::Hypot, A, B> {
  return detail::map_pair(functors::Hypot{}, a, b, where);
}
/// The largest integer not above x. The gradient of all roundings is 0; integers stay as they are.
template <Expression X>
auto floor(const X& x) -> detail::Mapped<functors::Floor, X> {
  return map(functors::Floor{}, x);
}
/// The smallest integer not below x.
template <Expression X>
auto ceil(const X& x) -> detail::Mapped<functors::Ceil, X> {
  return map(functors::Ceil{}, x);
}
/// The nearest integer, ties to even.
template <Expression X>
auto round(const X& x) -> detail::Mapped<functors::Round, X> {
  return map(functors::Round{}, x);
}
/// x without its fraction.
template <Expression X>
auto trunc(const X& x) -> detail::Mapped<functors::Trunc, X> {
  return map(functors::Trunc{}, x);
}
/// The remainder of a / b with the sign of a, as in C; of integers 0 where b is 0.
template <class A, class B>
requires Elementwise<A, B>
auto fmod(const A& a, const B& b, Location where = Location::here()) -> detail::Pair<functors::Fmod, A, B> {
  return detail::map_pair(functors::Fmod{}, a, b, where);
}
/// The remainder of a / b with the sign of b, as Python's %; of integers 0 where b is 0.
template <class A, class B>
requires Elementwise<A, B>
auto remainder(const A& a, const B& b, Location where = Location::here())
    -> detail::Pair<functors::Remainder, A, B> {
  return detail::map_pair(functors::Remainder{}, a, b, where);
}
/// a / b rounded down, as Python's //; of integers 0 where b is 0.
template <class A, class B>
requires Elementwise<A, B>
auto floor_divide(const A& a, const B& b, Location where = Location::here())
    -> detail::Pair<functors::FloorDivide, A, B> {
  return detail::map_pair(functors::FloorDivide{}, a, b, where);
}
/// Is x not a number? As bool.
template <Expression X>
auto isnan(const X& x) -> detail::Mapped<functors::IsNan, X> {
  return map(functors::IsNan{}, x);
}
/// Is x an infinity? As bool.
template <Expression X>
auto isinf(const X& x) -> detail::Mapped<functors::IsInf, X> {
  return map(functors::IsInf{}, x);
}
/// Is x neither an infinity nor NaN? As bool.
template <Expression X>
auto isfinite(const X& x) -> detail::Mapped<functors::IsFinite, X> {
  return map(functors::IsFinite{}, x);
}

/// The same values as elements of type T; the expression itself where they are already.
template <Element T, Expression X>
auto cast(const X& x) {
  static_assert(!detail::is_dual<element_of<X>> || detail::is_dual<T>,
                "cast: dual numbers would lose their tangents; see primal_of and tangent_of");
  if constexpr (std::same_as<T, element_of<X>>)
    return detail::to_node(x);
  else
    return map(functors::Cast<T>{}, x);
}

namespace detail {
/// The node of `cast<T>(x)`, without a copy of what is one already: a copy counts every storage up and down.
template <Element T, Expression X>
decltype(auto) node_as(const X& x) {
  if constexpr (std::same_as<T, element_of<X>>)
    return as_node(x);
  else
    return cast<T>(x);
}

template <class Condition, class A, class B>
using Selected = std::conditional_t<
    std::same_as<element_of<Condition>, bool>,
    typename mapped<functors::Where, node_of<Condition>, pair_node_of<functors::Where, B, A>,
                    pair_node_of<functors::Where, A, B>>::type,
    misuse::element_types_are_refused<functors::Where, element_of<Condition>>>;
}  // namespace detail

/// a where the condition, of bool, is true, b elsewhere; a and b may be numbers, but not both.
template <Expression Condition, class A, class B>
requires Elementwise<A, B> detail::Selected<Condition, A, B> where(const Condition& condition, const A& a,
                                                                   const B& b,
                                                                   Location call = Location::here()) {
  return detail::Selected<Condition, A, B>{call, functors::Where{}, condition,
                                           detail::pair_operand<functors::Where, B>(a),
                                           detail::pair_operand<functors::Where, A>(b)};
}

namespace functors {
/// A function given as a lambda on packets.
template <class F>
struct Lambda : Arithmetic {
  static constexpr const char* name = "elementwise";
  [[no_unique_address]] F function;
  constexpr auto operator()(auto... x) const { return function(x...); }
};
}  // namespace functors

/// What `elementwise` makes: a function of expressions.
template <class F>
struct ElementwiseFunction {
  using Function = functors::Lambda<F>;
  [[no_unique_address]] F function;

  template <Expression X>
  constexpr auto operator()(const X& x) const -> detail::Mapped<Function, X> {
    return map(Function{{}, function}, x);
  }
  template <Expression A, Expression B>
  constexpr auto operator()(const A& a, const B& b, Location where = Location::here()) const
      -> detail::Mapped<Function, A, B> {
    return map(Function{{}, function}, a, b, where);
  }
  template <Expression A, Expression B, Expression C>
  constexpr auto operator()(const A& a, const B& b, const C& c, Location where = Location::here()) const
      -> detail::Mapped<Function, A, B, C> {
    return map(Function{{}, function}, a, b, c, where);
  }
  template <Expression... X>
  requires(sizeof...(X) > 3) constexpr auto operator()(const X&... x) const
      -> detail::Mapped<Function, X...> {
    return map(Function{{}, function}, x...);
  }
};

/// An elementwise function made from one lambda: `constexpr auto mish = elementwise([](auto x) { return x *
/// tanh(log1p(exp(x))); })`. The lambda calls the functions of packets (exp, log1p, tanh, select ...); its
/// derivative is found at compile time. It computes in the promoted type of its arguments, so cast integers
/// to float where it calls functions of real numbers.
template <class F>
constexpr ElementwiseFunction<F> elementwise(F function) {
  return {function};
}

}  // namespace burrow
