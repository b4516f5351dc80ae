// The functors of operators, and the bases of all elementwise functors: how each computes a value from
// packets and, where it has one, its derivatives. A functor without a stated derivative gets it from dual
// numbers (autodiff/dual.hpp).
#pragma once

#include <numbers>
#include <tuple>

#include <burrow/core/packet_math.hpp>

namespace burrow::functors {

namespace detail {
template <class T, class... Rest>
struct promote_all {
  using type = T;
};
template <class A, class B, class... Rest>
struct promote_all<A, B, Rest...> : promote_all<promoted<A, B>, Rest...> {};
}  // namespace detail

/// Functors whose result has the promoted type of their arguments.
struct Arithmetic {
  template <class... T>
  using result = typename detail::promote_all<T...>::type;
};

/// Arithmetic that has no meaning for truth values alone.
struct Numeric : Arithmetic {
  template <class... T>
  static constexpr bool accepts = !(std::same_as<T, bool> && ...);
};

/// Functors that leave the integers: those of real numbers, which take integers and bool as float.
struct Floating {
  using takes_real = void;
  template <class... T>
  using result = floating<typename detail::promote_all<T...>::type>;
};

/// Functors whose result is true or false.
struct Logical {
  template <class... T>
  using result = bool;
};

/// Comparisons; a number beside integers is compared as it is, even where their type cannot hold it.
struct Comparison : Logical {
  using compares = void;
};

/// Functors on the bits of integers, which are those on truth values for bool.
struct Bitwise : Arithmetic {
  template <class... T>
  static constexpr bool accepts = (std::is_integral_v<T> && ...);
};
struct Shift : Arithmetic {
  template <class... T>
  static constexpr bool accepts = ((std::is_integral_v<T> && !std::same_as<T, bool>)&&...);
};

struct Add : Arithmetic {
  static constexpr const char* name = "operator+";
  constexpr auto operator()(auto a, auto b) const { return a + b; }
  static constexpr auto derivatives(auto a, auto, auto) { return std::tuple{decltype(a)(1), decltype(a)(1)}; }
};
/// Refused for two truth values: write `a != b`, or cast.
struct Subtract : Numeric {
  static constexpr const char* name = "operator-";
  constexpr auto operator()(auto a, auto b) const { return a - b; }
  static constexpr auto derivatives(auto a, auto, auto) {
    return std::tuple{decltype(a)(1), decltype(a)(-1)};
  }
};
struct Multiply : Arithmetic {
  static constexpr const char* name = "operator*";
  constexpr auto operator()(auto a, auto b) const { return a * b; }
  static constexpr auto derivatives(auto a, auto b, auto) { return std::tuple{b, a}; }
};
/// True division: integers give float.
struct Divide : Floating {
  static constexpr const char* name = "operator/";
  constexpr auto operator()(auto a, auto b) const { return a / b; }
  static constexpr auto derivatives(auto a, auto b, auto y) { return std::tuple{decltype(a)(1) / b, -y / b}; }
};
struct Negate : Numeric {
  static constexpr const char* name = "operator-";
  constexpr auto operator()(auto a) const { return -a; }
  static constexpr auto derivatives(auto a, auto) { return std::tuple{decltype(a)(-1)}; }
};
/// The larger of two; where both are equal the gradient goes to the first.
struct Maximum : Arithmetic {
  static constexpr const char* name = "maximum";
  constexpr auto operator()(auto a, auto b) const { return maximum(a, b); }
  static constexpr auto derivatives(auto a, auto b, auto) {
    using P = decltype(a);
    const auto first = a >= b || a != a;
    return std::tuple{select(first, P(1), P(0)), select(first, P(0), P(1))};
  }
};
/// The smaller of two; where both are equal the gradient goes to the first.
struct Minimum : Arithmetic {
  static constexpr const char* name = "minimum";
  constexpr auto operator()(auto a, auto b) const { return minimum(a, b); }
  static constexpr auto derivatives(auto a, auto b, auto) {
    using P = decltype(a);
    const auto first = a <= b || a != a;
    return std::tuple{select(first, P(1), P(0)), select(first, P(0), P(1))};
  }
};
struct Less : Comparison {
  static constexpr const char* name = "operator<";
  constexpr auto operator()(auto a, auto b) const { return a < b; }
};
struct LessEqual : Comparison {
  static constexpr const char* name = "operator<=";
  constexpr auto operator()(auto a, auto b) const { return a <= b; }
};
struct Equal : Comparison {
  static constexpr const char* name = "operator==";
  constexpr auto operator()(auto a, auto b) const { return a == b; }
};
struct NotEqual : Comparison {
  static constexpr const char* name = "operator!=";
  constexpr auto operator()(auto a, auto b) const { return a != b; }
};
struct And : Logical {
  static constexpr const char* name = "operator&&";
  constexpr auto operator()(auto a, auto b) const { return a && b; }
};
struct Or : Logical {
  static constexpr const char* name = "operator||";
  constexpr auto operator()(auto a, auto b) const { return a || b; }
};
struct Not : Logical {
  static constexpr const char* name = "operator!";
  constexpr auto operator()(auto a) const { return !a; }
};

struct BitAnd : Bitwise {
  static constexpr const char* name = "operator&";
  constexpr auto operator()(auto a, auto b) const { return a & b; }
};
struct BitOr : Bitwise {
  static constexpr const char* name = "operator|";
  constexpr auto operator()(auto a, auto b) const { return a | b; }
};
struct BitXor : Bitwise {
  static constexpr const char* name = "operator^";
  constexpr auto operator()(auto a, auto b) const { return a ^ b; }
};
struct BitNot : Bitwise {
  static constexpr const char* name = "operator~";
  constexpr auto operator()(auto a) const { return ~a; }
};
struct ShiftLeft : Shift {
  static constexpr const char* name = "operator<<";
  constexpr auto operator()(auto a, auto b) const { return a << b; }
};
struct ShiftRight : Shift {
  static constexpr const char* name = "operator>>";
  constexpr auto operator()(auto a, auto b) const { return a >> b; }
};

/// a where the condition is true, b elsewhere.
struct Where {
  template <class Condition, class A, class B>
  using result = promoted<A, B>;
  static constexpr const char* name = "where";
  constexpr auto operator()(auto condition, auto a, auto b) const { return select(condition, a, b); }
  static constexpr auto derivatives(auto condition, auto a, auto, auto) {
    using P = decltype(a);
    return std::tuple{P(0), select(condition, P(1), P(0)), select(condition, P(0), P(1))};
  }
};

/// The same value as another element type.
template <class To>
struct Cast {
  using keeps_type = void;  // the argument comes as it is; the result is converted
  static constexpr bool rounds = Narrow<To>;
  template <class>
  using result = To;
  static constexpr const char* name = "cast";
  constexpr auto operator()(auto x) const { return x; }
  static constexpr auto derivatives(auto x, auto) { return std::tuple{decltype(x)(1)}; }
};

}  // namespace burrow::functors
