// Reflection of plain structs at compile time: how many members, their types, their names, and a loop over
// them. Nothing is registered: any aggregate without a base class and with at most 32 members will do.
#pragma once

#include <burrow/core/member_bindings.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace burrow {

/// The most members that a module may have.
inline constexpr std::size_t max_member_count = 32;

/// A list of types, for `member_types`.
template <class... T>
struct TypeList {
  static constexpr std::size_t size = sizeof...(T);
};

namespace detail {

template <class T>
concept TupleLike = requires {
  std::tuple_size<T>::value;
};

// Converts to whatever a member is. A member's own converting constructor template is always the better
// match, because the conversion needs `const volatile`: never an ambiguity.
struct AnyMember {
  template <class M>
  operator M() const volatile;
};
template <std::size_t>
using AnyMemberAt = AnyMember;

template <class T>
struct AnyBase {
  template <class B>
  requires(std::is_base_of_v<B, T> && !std::same_as<B, T>) operator B() const volatile;
};

struct Unrelated {};

template <class T, std::size_t... I>
constexpr bool takes_members(std::index_sequence<I...>) {
  return requires { T{AnyMemberAt<I>{}...}; };
}
template <class T, std::size_t... I>
constexpr bool has_member_after(std::index_sequence<I...>) {
  return requires { T{AnyMemberAt<I>{}..., {}}; };
}

// The largest number of initialisers, known to be in [low, high), that T takes. When T{} is valid every
// smaller number is valid too; otherwise (a member without a default) only the largest ones are.
template <class T, std::size_t low, std::size_t high, bool monotone>
constexpr std::size_t count_members() {
  if constexpr (low + 1 >= high) {
    return low;
  } else {
    constexpr std::size_t probe = monotone ? (low + high) / 2 : high - 1;
    if constexpr (takes_members<T>(std::make_index_sequence<probe>{})) {
      return monotone ? count_members<T, probe, high, true>() : probe;
    } else {
      return count_members<T, low, probe, monotone>();
    }
  }
}

// A base comes first in aggregate initialisation; a first member that takes anything is not a base.
template <class T>
constexpr bool has_base() {
  constexpr bool takes_base = requires { T{AnyBase<T>{}}; };
  constexpr bool takes_anything = requires { T{Unrelated{}}; };
  return takes_base && !takes_anything;
}

template <class T>
constexpr std::size_t checked_member_count() {
  constexpr bool is_struct = std::is_class_v<T> && std::is_aggregate_v<T> && !TupleLike<T>;
  static_assert(is_struct,
                "burrow: only a plain struct is reflected: no constructors, no private members, "
                "no virtual functions, not a union or an array");
  if constexpr (is_struct) {
    static_assert(!has_base<T>(), "burrow: a reflected struct has no base class; make the base a member");
    constexpr bool has_defaults = requires { T{}; };
    constexpr std::size_t count = count_members<T, 0, max_member_count + 2, has_defaults>();
    static_assert(count <= max_member_count, "burrow: a reflected struct has at most 32 members");
    constexpr bool complete =
        (has_defaults || count > 0) && !has_member_after<T>(std::make_index_sequence<count>{});
    static_assert(count > max_member_count || complete,
                  "burrow: a reflected struct has no references, and no members whose constructor template "
                  "takes anything by value");
    return has_base<T>() || count > max_member_count ? 0 : count;
  }
  return 0;
}

}  // namespace detail

/// True for the structs that can be reflected: aggregate classes that are not tuple-like (`std::array` is).
template <class T>
concept Reflectable = std::is_class_v<T> && std::is_aggregate_v<T> && !detail::TupleLike<T>;

/// The number of members of struct T, at most 32. C arrays are not supported: use std::array.
template <class T>
inline constexpr std::size_t member_count = detail::checked_member_count<std::remove_cv_t<T>>();

/// Calls `visitor(member0, member1, ...)` with references to all members of `object`, in order of
/// declaration, const if `object` is; returns what it returns.
template <class T, class Visitor>
constexpr decltype(auto) visit_members(T& object, Visitor&& visitor) {
  return detail::with_members<member_count<T>>(object, visitor);
}

namespace detail {

// Never constructed; only the addresses of its members are used, in constant expressions.
template <class T>
union Unconstructed {
  char nothing;
  T value;
  constexpr Unconstructed() : nothing{} {}
  ~Unconstructed() {}
};
template <class T>
inline Unconstructed<T> unconstructed;

template <class M>
struct MemberAddress {
  M* address;
};

template <std::size_t, class M>
struct IndexedAddress : MemberAddress<M> {};
template <class Indices, class... M>
struct Addresses;
template <std::size_t... I, class... M>
struct Addresses<std::index_sequence<I...>, M...> : IndexedAddress<I, M>... {};

template <std::size_t I, class M>
constexpr MemberAddress<M> address_at(const IndexedAddress<I, M>& address) {
  return address;
}

constexpr bool is_identifier_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The compilers print "...{(& storage.Type::member)}]" or "{&storage.member}]": the name is the last
// identifier.
template <auto address>
constexpr auto name_of_member_at() {
  const char* const text = __PRETTY_FUNCTION__;
  std::size_t last = sizeof(__PRETTY_FUNCTION__) - 1;
  while (!is_identifier_character(text[last - 1])) --last;
  std::size_t first = last;
  while (is_identifier_character(text[first - 1])) --first;
  return std::string_view{text + first, last - first};
}

template <class T>
constexpr auto find_member_names() {
  constexpr auto addresses = visit_members(unconstructed<T>.value, []<class... M>(M&... member) {
    return Addresses<std::index_sequence_for<M...>, M...>{{{&member}}...};
  });
  const auto names_at = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<std::string_view, sizeof...(I)>{name_of_member_at<address_at<I>(addresses)>()...};
  };
  return names_at(std::make_index_sequence<member_count<T>>{});
}

struct MemberTypes {
  template <class... M>
  TypeList<M...> operator()(M&...) const {
    return {};
  }
};

}  // namespace detail

/// The names of struct T's members, as declared: a std::array of std::string_view.
template <class T>
inline constexpr auto member_names = detail::find_member_names<std::remove_cv_t<T>>();

/// The types of struct T's members, in order: a TypeList.
template <class T>
using member_types = decltype(visit_members(std::declval<T&>(), detail::MemberTypes{}));

/// Calls `function(name, member)` for every member of `object`, in order of declaration; `member` is a
/// reference, const if `object` is, and `name` a std::string_view.
template <class T, class Function>
constexpr void for_each_member(T& object, Function&& function) {
  visit_members(object, [&](auto&... member) {
    [[maybe_unused]] std::size_t i = 0;
    (function(member_names<T>[i++], member), ...);
  });
}

}  // namespace burrow
