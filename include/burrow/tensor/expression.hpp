// Expressions: lazy elementwise computations whose type is the graph. Map<F, Args...> applies F to the
// elements of its arguments; arguments are leaves (views of tensors, scalars) or maps. Nothing is computed
// until an expression is evaluated; leaves own their storage, so `auto` is always safe.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>

#include <burrow/core/misuse.hpp>
#include <burrow/core/packet.hpp>
#include <burrow/core/tuple.hpp>
#include <burrow/tensor/view.hpp>

namespace burrow {

/// Anything with elements, a shape and a device: tensors, views, parameters, traced values, expressions of
/// them.
template <class E>
concept Expression = requires {
  typename std::remove_cvref_t<E>::element;
  typename std::remove_cvref_t<E>::shape_type;
  typename std::remove_cvref_t<E>::device;
  requires std::remove_cvref_t<E>::is_expression;
};

namespace detail {
/// An expression with extents that are known at run time.
template <class E>
inline constexpr bool at_run_time = false;
template <class E>
requires std::remove_cvref_t<E>::meets_at_run_time inline constexpr bool at_run_time<E> = true;
}  // namespace detail

/// An expression that a tape watches: its type has a traced leaf.
template <class E>
concept Traced = Expression<E> && std::remove_cvref_t<E>::traced;

/// The element type of an expression.
template <class E>
using element_of = typename std::remove_cvref_t<E>::element;
/// The Shape of an expression.
template <class E>
using shape_of = typename std::remove_cvref_t<E>::shape_type;
/// The device of an expression.
template <class E>
using device_of = typename std::remove_cvref_t<E>::device;

/// A number in an expression, kept in the precision that T is computed in.
template <class T>
struct Scalar {
  using element = T;
  using shape_type = Shape<>;
  static constexpr bool is_leaf = true;
  static constexpr bool traced = false;
  compute_type<T> value;
};

namespace detail {

template <class N>
inline constexpr bool is_scalar_node = false;
template <class T>
inline constexpr bool is_scalar_node<Scalar<T>> = true;

template <class... Nodes>
struct device_among;
template <class First, class... Rest>
struct device_among<First, Rest...> {
  using type = typename First::device;
};
template <class T, class... Rest>
struct device_among<Scalar<T>, Rest...> : device_among<Rest...> {};

template <class S, class... Rest>
struct broadcast_all {
  static constexpr bool fits = true;
  using type = S;
};
template <class A, class B, class... Rest>
struct broadcast_all<A, B, Rest...> {
  static constexpr bool fits = false;
};
template <class A, class B, class... Rest>
requires Broadcastable<A, B>
struct broadcast_all<A, B, Rest...> : broadcast_all<Broadcast<A, B>, Rest...> {
};

template <class Device, class... Nodes>
inline constexpr bool all_on = true;
template <class Device, class First, class... Rest>
inline constexpr bool all_on<Device, First, Rest...> =
    std::same_as<Device, typename First::device>&& all_on<Device, Rest...>;
template <class Device, class T, class... Rest>
inline constexpr bool all_on<Device, Scalar<T>, Rest...> = all_on<Device, Rest...>;

template <class S>
constexpr S broadcast_values(std::string_view, Location, const S& shape) {
  return shape;
}
template <class A, class B, class... Rest>
constexpr auto broadcast_values(std::string_view operation, Location where, const A& a, const B& b,
                                const Rest&... rest) {
  return broadcast_values(operation, where, broadcast(a, b, operation, where), rest...);
}

template <class N>
constexpr auto shape_of_node(const N& node) {
  if constexpr (is_scalar_node<N>)
    return Shape<>{};
  else
    return node.shape();
}

}  // namespace detail

namespace detail {
/// The node that stands for a value in an expression: leaves by handle, expressions by value.
template <Expression E>
auto to_node(const E& e) {
  if constexpr (requires { e.leaf(); })
    return e.leaf();
  else
    return e;
}

template <class T>
Scalar<T> to_node(const Scalar<T>& number) {
  return number;
}

template <class... Args>
using BroadcastOf = typename broadcast_all<typename Args::shape_type...>::type;
}  // namespace detail

/// F applied to the elements of the arguments, broadcast. F is an empty or small functor on packets.
template <class F, class... Args>
class Map : public detail::OperatorsOf<Map<F, Args...>, detail::BroadcastOf<Args...>::is_static> {
 public:
  using function_type = F;
  using element = typename F::template result<typename Args::element...>;
  using shape_type = detail::BroadcastOf<Args...>;
  using device = typename detail::device_among<Args...>::type;
  static constexpr bool is_expression = true;
  static constexpr bool is_leaf = false;
  static constexpr bool traced = (Args::traced || ...);

  explicit Map(F f, Args... args)
      : function_{std::move(f)},
        shape_{detail::broadcast_values(F::name, Location{}, detail::shape_of_node(args)...)},
        arguments_{std::move(args)...} {}
  /// Of expressions and Scalars whose nodes are the arguments. Throws ShapeError, which names the location,
  /// where extents differ at run time.
  template <class... E>
  Map(Location where, F f, const E&... operands)
      : function_{std::move(f)},
        shape_{detail::broadcast_values(F::name, where, detail::shape_of_node(operands)...)},
        arguments_{detail::to_node(operands)...} {}

  const shape_type& shape() const { return shape_; }
  const F& function() const { return function_; }
  const detail::Tuple<Args...>& arguments() const { return arguments_; }

  /// The value of an expression of one element, computed now. Throws ShapeError where there is not exactly
  /// one.
  auto item(Location where = Location::here()) const { return materialize(*this).item(where); }

 private:
  [[no_unique_address]] F function_;
  [[no_unique_address]] shape_type shape_;
  detail::Tuple<Args...> arguments_;
};

namespace detail {

/// As `to_node`, without a copy of what is a node already.
template <Expression E>
decltype(auto) as_node(const E& e) {
  if constexpr (requires { e.leaf(); })
    return e.leaf();
  else
    return (e);
}

template <class E>
using node_of = decltype(to_node(std::declval<const std::remove_cvref_t<E>&>()));

/// A leaf whose elements lie in memory without gaps.
template <class N>
inline constexpr bool is_dense_leaf = [] {
  if constexpr (N::is_leaf && !is_scalar_node<N>)
    return N::contiguous;
  else
    return false;
}();

/// Lets every leaf object to being used without a tape; parameters do while their gradient is being recorded.
template <class Node>
void check_untraced(const Node& node, Location where = {}) {
  if constexpr (requires { node.check_untraced(where); })
    node.check_untraced(where);
  else if constexpr (!Node::is_leaf)
    detail::apply([&](const auto&... a) { (check_untraced(a, where), ...); }, node.arguments());
}

/// The view of a leaf that is used without a tape.
template <class Leaf>
const auto& untraced_view(const Leaf& leaf) {
  check_untraced(leaf);
  return leaf.view();
}

/// The element type of a number of type T beside elements of another: theirs, unless it is of a higher kind
/// (bool, integer, real). Then it is int32, int64 where it has as many bits, or float.
template <class Beside, class T>
struct number_type {
  static constexpr bool is_real = !std::is_integral_v<T>;
  static constexpr bool fits =
      Real<Beside> || std::same_as<T, bool> || (!is_real && !std::same_as<Beside, bool>);
  using own =
      std::conditional_t<is_real, float, std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>>;
  using type = std::conditional_t<fits, Beside, own>;
};
template <class Beside, class T>
requires is_dual<T>
struct number_type<Beside, T> {
  using type = promoted<Beside, T>;
};

/// A number as an operand beside elements of another type.
template <class Beside, Number T>
auto scalar_node(T value) {
  using Own = typename number_type<Beside, T>::type;
  return Scalar<Own>{static_cast<compute_type<Own>>(value)};
}

/// A number that integers are compared with: as wide as needed to hold it.
template <class Beside, class T>
auto compared_node(T value) {
  if constexpr (std::is_integral_v<Beside> && std::is_integral_v<T> && !std::same_as<Beside, bool>)
    return scalar_node<promoted<Beside, std::conditional_t<(sizeof(T) < 4), std::int32_t, std::int64_t>>>(
        value);
  else
    return scalar_node<Beside>(value);
}

}  // namespace detail

namespace detail {
/// The device of a node, for messages.
template <class Node>
struct device_name {
  using type = typename Node::device;
};
template <class T>
struct device_name<Scalar<T>> {
  using type = Scalar<T>;
};

/// True where F takes elements of these types.
template <class F, class... T>
constexpr bool elements_fit() {
  if constexpr (requires { F::template accepts<T...>; })
    return F::template accepts<T...>;
  else
    return true;
}

/// Map<F, Nodes...>, or what is wrong with it.
template <class F, class... Nodes>
struct mapped {
  using fitting = std::conditional_t<elements_fit<F, typename Nodes::element...>(), Map<F, Nodes...>,
                                     misuse::element_types_are_refused<F, typename Nodes::element...>>;
  using type = std::conditional_t<
      !all_on<typename device_among<Nodes...>::type, Nodes...>,
      misuse::devices_differ<F, typename device_name<Nodes>::type...>,
      std::conditional_t<broadcast_all<typename Nodes::shape_type...>::fits, fitting,
                         misuse::shapes_do_not_broadcast<F, typename Nodes::shape_type...>>>;
};
template <class F, class... E>
using Mapped = typename mapped<F, node_of<E>...>::type;
}  // namespace detail

/// F mapped over expressions, as an expression. Throws ShapeError where run-time extents do not broadcast.
template <class F, Expression X>
detail::Mapped<F, X> map(F f, const X& x) {
  return detail::Mapped<F, X>{Location{}, std::move(f), x};
}
template <class F, Expression A, Expression B>
detail::Mapped<F, A, B> map(F f, const A& a, const B& b, Location where = Location::here()) {
  return detail::Mapped<F, A, B>{where, std::move(f), a, b};
}
template <class F, Expression A, Expression B, Expression C>
detail::Mapped<F, A, B, C> map(F f, const A& a, const B& b, const C& c, Location where = Location::here()) {
  return detail::Mapped<F, A, B, C>{where, std::move(f), a, b, c};
}
template <class F, Expression... E>
requires(sizeof...(E) > 3) detail::Mapped<F, E...> map(F f, const E&... e) {
  return detail::Mapped<F, E...>{Location{}, std::move(f), e...};
}

/// True where an expression and another, or a number, can meet in an elementwise function.
template <class A, class B>
concept Elementwise = (Expression<A> && Expression<B>) || (Expression<A> && Number<B>) ||
                      (Number<A> && Expression<B>);

namespace detail {
/// An operand of a pair: a number takes its type from the operand beside it.
template <class F, class Beside, Expression X>
const X& pair_operand(const X& x) {
  return x;
}
template <class F, Expression Beside, class X>
requires Number<X>
auto pair_operand(X x) {
  if constexpr (requires { typename F::compares; })
    return compared_node<element_of<Beside>>(x);
  else
    return scalar_node<element_of<Beside>>(x);
}
template <class F, class Beside, class X>
struct pair_node {};
template <class F, Expression Beside, Number X>
struct pair_node<F, Beside, X> {
  using type = decltype(pair_operand<F, Beside>(std::declval<X>()));
};
template <class F, class Beside, Expression X>
struct pair_node<F, Beside, X> {
  using type = node_of<X>;
};
template <class F, class Beside, class X>
using pair_node_of = typename pair_node<F, Beside, X>::type;

/// F of two operands, of which one may be a number, or what is wrong with them.
template <class F, class A, class B>
using Pair = typename mapped<F, pair_node_of<F, B, A>, pair_node_of<F, A, B>>::type;

template <class F, class A, class B>
Pair<F, A, B> map_pair(F f, const A& a, const B& b, Location where = {}) {
  if constexpr (Expression<A> && Expression<B>)
    return Pair<F, A, B>{where, f, a, b};
  else
    return Pair<F, A, B>{where, f, pair_operand<F, B>(a), pair_operand<F, A>(b)};
}

}  // namespace detail

}  // namespace burrow
