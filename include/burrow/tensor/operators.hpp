// Operators on expressions: x + y, x < y, !x. All are lazy, and all are elementwise.
//
// An operator has no argument for the line of its call. Where extents are only known at run time, an operand
// is therefore taken as a `Located`, whose conversion from the operand has one. A conversion needs the
// operand's type, so these operators are friends of that type, and expressions of static extents, which
// cannot fail, do without them.
#pragma once

#include <burrow/tensor/expression.hpp>
#include <burrow/tensor/functors.hpp>

namespace burrow {

namespace detail {

/// An operand and the line in which it meets another.
template <class X>
struct Located {
  Located(const X& x, Location here = Location::here()) : operand{x}, where{here} {}

  const X& operand;
  Location where;
};

/// Any order of two types, that of their names.
template <class X>
constexpr std::string_view name_in_order() {
  return __PRETTY_FUNCTION__;
}

/// What X is compared with by operators of X. The compiler also looks at b == a for a == b, so that only one
/// of two types may have them.
template <class Y, class X>
concept EqualTo =
    Expression<Y> && !std::derived_from<Y, X> && (!at_run_time<Y> || name_in_order<X>() < name_in_order<Y>());

/// The operators on X and other expressions, where one of the two has extents that are known at run time.
template <class X>
struct OperatorsOf<X, false> {
  static constexpr bool meets_at_run_time = true;

  template <Expression B>
  friend auto operator+(Located<X> a, const B& b) -> Pair<functors::Add, X, B> {
    return map_pair(functors::Add{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator+(const A& a, Located<X> b) -> Pair<functors::Add, A, X> {
    return map_pair(functors::Add{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator-(Located<X> a, const B& b) -> Pair<functors::Subtract, X, B> {
    return map_pair(functors::Subtract{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator-(const A& a, Located<X> b)
      -> Pair<functors::Subtract, A, X> {
    return map_pair(functors::Subtract{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator*(Located<X> a, const B& b) -> Pair<functors::Multiply, X, B> {
    return map_pair(functors::Multiply{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator*(const A& a, Located<X> b)
      -> Pair<functors::Multiply, A, X> {
    return map_pair(functors::Multiply{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator/(Located<X> a, const B& b) -> Pair<functors::Divide, X, B> {
    return map_pair(functors::Divide{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator/(const A& a, Located<X> b) -> Pair<functors::Divide, A, X> {
    return map_pair(functors::Divide{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator<(Located<X> a, const B& b) -> Pair<functors::Less, X, B> {
    return map_pair(functors::Less{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator<(const A& a, Located<X> b) -> Pair<functors::Less, A, X> {
    return map_pair(functors::Less{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator<=(Located<X> a, const B& b) -> Pair<functors::LessEqual, X, B> {
    return map_pair(functors::LessEqual{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator<=(const A& a, Located<X> b)
      -> Pair<functors::LessEqual, A, X> {
    return map_pair(functors::LessEqual{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator>(Located<X> a, const B& b) -> Pair<functors::Less, B, X> {
    return map_pair(functors::Less{}, b, a.operand, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator>(const A& a, Located<X> b) -> Pair<functors::Less, X, A> {
    return map_pair(functors::Less{}, b.operand, a, b.where);
  }

  template <Expression B>
  friend auto operator>=(Located<X> a, const B& b) -> Pair<functors::LessEqual, B, X> {
    return map_pair(functors::LessEqual{}, b, a.operand, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator>=(const A& a, Located<X> b)
      -> Pair<functors::LessEqual, X, A> {
    return map_pair(functors::LessEqual{}, b.operand, a, b.where);
  }

  template <EqualTo<X> B>
  friend auto operator==(Located<X> a, const B& b) -> Pair<functors::Equal, X, B> {
    return map_pair(functors::Equal{}, a.operand, b, a.where);
  }
  template <EqualTo<X> A>
  friend auto operator==(const A& a, Located<X> b) -> Pair<functors::Equal, A, X> {
    return map_pair(functors::Equal{}, a, b.operand, b.where);
  }
  template <class Same = X>
  friend auto operator==(Located<X> a, Located<X> b) -> Pair<functors::Equal, Same, Same> {
    return map_pair(functors::Equal{}, a.operand, b.operand, a.where);
  }

  template <EqualTo<X> B>
  friend auto operator!=(Located<X> a, const B& b) -> Pair<functors::NotEqual, X, B> {
    return map_pair(functors::NotEqual{}, a.operand, b, a.where);
  }
  template <EqualTo<X> A>
  friend auto operator!=(const A& a, Located<X> b) -> Pair<functors::NotEqual, A, X> {
    return map_pair(functors::NotEqual{}, a, b.operand, b.where);
  }
  template <class Same = X>
  friend auto operator!=(Located<X> a, Located<X> b) -> Pair<functors::NotEqual, Same, Same> {
    return map_pair(functors::NotEqual{}, a.operand, b.operand, a.where);
  }

  template <Expression B>
  friend auto operator&&(Located<X> a, const B& b) -> Pair<functors::And, X, B> {
    return map_pair(functors::And{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator&&(const A& a, Located<X> b) -> Pair<functors::And, A, X> {
    return map_pair(functors::And{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator||(Located<X> a, const B& b) -> Pair<functors::Or, X, B> {
    return map_pair(functors::Or{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator||(const A& a, Located<X> b) -> Pair<functors::Or, A, X> {
    return map_pair(functors::Or{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator&(Located<X> a, const B& b) -> Pair<functors::BitAnd, X, B> {
    return map_pair(functors::BitAnd{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator&(const A& a, Located<X> b) -> Pair<functors::BitAnd, A, X> {
    return map_pair(functors::BitAnd{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator|(Located<X> a, const B& b) -> Pair<functors::BitOr, X, B> {
    return map_pair(functors::BitOr{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator|(const A& a, Located<X> b) -> Pair<functors::BitOr, A, X> {
    return map_pair(functors::BitOr{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator^(Located<X> a, const B& b) -> Pair<functors::BitXor, X, B> {
    return map_pair(functors::BitXor{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator^(const A& a, Located<X> b) -> Pair<functors::BitXor, A, X> {
    return map_pair(functors::BitXor{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator<<(Located<X> a, const B& b) -> Pair<functors::ShiftLeft, X, B> {
    return map_pair(functors::ShiftLeft{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator<<(const A& a, Located<X> b)
      -> Pair<functors::ShiftLeft, A, X> {
    return map_pair(functors::ShiftLeft{}, a, b.operand, b.where);
  }

  template <Expression B>
  friend auto operator>>(Located<X> a, const B& b) -> Pair<functors::ShiftRight, X, B> {
    return map_pair(functors::ShiftRight{}, a.operand, b, a.where);
  }
  template <Expression A>
  requires(!at_run_time<A>) friend auto operator>>(const A& a, Located<X> b)
      -> Pair<functors::ShiftRight, A, X> {
    return map_pair(functors::ShiftRight{}, a, b.operand, b.where);
  }
};

/// Operands that cannot fail to broadcast at run time, or are no types of ours.
template <class A, class B>
concept MeetAnywhere =
    Elementwise<A, B> && !(Expression<A> && Expression<B> && (at_run_time<A> || at_run_time<B>));

}  // namespace detail

// Operands that do not fit give a type of burrow::misuse instead of a Map.

/// a + b. Of bool: or.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator+(const A& a, const B& b) -> detail::Pair<functors::Add, A, B> {
  return detail::map_pair(functors::Add{}, a, b);
}
/// a - b; bool is refused.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator-(const A& a, const B& b) -> detail::Pair<functors::Subtract, A, B> {
  return detail::map_pair(functors::Subtract{}, a, b);
}
/// a b. Of bool: and.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator*(const A& a, const B& b) -> detail::Pair<functors::Multiply, A, B> {
  return detail::map_pair(functors::Multiply{}, a, b);
}
/// a / b, true division: of integers a float.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator/(const A& a, const B& b) -> detail::Pair<functors::Divide, A, B> {
  return detail::map_pair(functors::Divide{}, a, b);
}
/// a < b, as bool; false where one is NaN.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator<(const A& a, const B& b) -> detail::Pair<functors::Less, A, B> {
  return detail::map_pair(functors::Less{}, a, b);
}
/// a <= b, as bool; false where one is NaN.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator<=(const A& a, const B& b) -> detail::Pair<functors::LessEqual, A, B> {
  return detail::map_pair(functors::LessEqual{}, a, b);
}
/// a > b, as bool; false where one is NaN.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator>(const A& a, const B& b) -> detail::Pair<functors::Less, B, A> { return b < a; }
/// a >= b, as bool; false where one is NaN.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator>=(const A& a, const B& b) -> detail::Pair<functors::LessEqual, B, A> { return b <= a; }
/// a = b, element by element, as bool.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator==(const A& a, const B& b) -> detail::Pair<functors::Equal, A, B> {
  return detail::map_pair(functors::Equal{}, a, b);
}
/// Not a = b, element by element, as bool; true where one is NaN.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator!=(const A& a, const B& b) -> detail::Pair<functors::NotEqual, A, B> {
  return detail::map_pair(functors::NotEqual{}, a, b);
}
/// Are both not zero?
template <Expression A, Expression B>
requires detail::MeetAnywhere<A, B>
auto operator&&(const A& a, const B& b) -> detail::Pair<functors::And, A, B> {
  return detail::map_pair(functors::And{}, a, b);
}
/// Is one not zero?
template <Expression A, Expression B>
requires detail::MeetAnywhere<A, B>
auto operator||(const A& a, const B& b) -> detail::Pair<functors::Or, A, B> {
  return detail::map_pair(functors::Or{}, a, b);
}

/// -a; bool is refused.
template <Expression A>
auto operator-(const A& a) -> detail::Mapped<functors::Negate, A> {
  return map(functors::Negate{}, a);
}
/// Is a zero?
template <Expression A>
auto operator!(const A& a) -> detail::Mapped<functors::Not, A> {
  return map(functors::Not{}, a);
}
/// All bits of an integer turned; of bool: not.
template <Expression A>
auto operator~(const A& a) -> detail::Mapped<functors::BitNot, A> {
  return map(functors::BitNot{}, a);
}

// The bits of integers; of bool, the truth values. A shift by a negative number, or by all bits, shifts all
// out.

/// The bits that both have.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator&(const A& a, const B& b) -> detail::Pair<functors::BitAnd, A, B> {
  return detail::map_pair(functors::BitAnd{}, a, b);
}
/// The bits that one has.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator|(const A& a, const B& b) -> detail::Pair<functors::BitOr, A, B> {
  return detail::map_pair(functors::BitOr{}, a, b);
}
/// The bits that only one has.
template <class A, class B>
requires detail::MeetAnywhere<A, B>
auto operator^(const A& a, const B& b) -> detail::Pair<functors::BitXor, A, B> {
  return detail::map_pair(functors::BitXor{}, a, b);
}
/// a shifted up by b bits.
template <Expression A, class B>
requires detail::MeetAnywhere<A, B>
auto operator<<(const A& a, const B& b) -> detail::Pair<functors::ShiftLeft, A, B> {
  return detail::map_pair(functors::ShiftLeft{}, a, b);
}
/// a shifted down by b bits, keeping its sign.
template <Expression A, class B>
requires detail::MeetAnywhere<A, B>
auto operator>>(const A& a, const B& b) -> detail::Pair<functors::ShiftRight, A, B> {
  return detail::map_pair(functors::ShiftRight{}, a, b);
}

}  // namespace burrow
