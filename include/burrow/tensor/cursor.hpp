// Cursors: an expression lowered to raw pointers for one loop nest. A cursor's type says what is computed,
// not on which shapes or by whom, so that a traced expression and a plain one, of whatever extents, share
// their loops.
#pragma once

#include <burrow/tensor/functors.hpp>
#include <burrow/tensor/loop_nest.hpp>

namespace burrow::detail {

/// The packet type that a whole tree of nodes computes in, or void where its types differ (then lanes are 1).
template <class A, class B>
struct meet_vector {
  using type = void;
};
template <class A>
struct meet_vector<A, A> {
  using type = A;
};
template <class A>
struct meet_vector<A, bool> {
  using type = A;
};
template <class A>
struct meet_vector<bool, A> {
  using type = A;
};
template <>
struct meet_vector<bool, bool> {
  using type = bool;
};

template <class Node>
struct vector_type_of {
  using type = std::conditional_t<Real<typename Node::element>, compute_type<typename Node::element>,
                                  std::conditional_t<std::same_as<typename Node::element, bool>, bool, void>>;
};
template <class F, class... Args>
struct vector_type_of<Map<F, Args...>> {
  template <class T, class... Rest>
  struct fold {
    using type = T;
  };
  template <class A, class B, class... Rest>
  struct fold<A, B, Rest...> : fold<typename meet_vector<A, B>::type, Rest...> {};
  using own = typename Map<F, Args...>::element;
  using own_vector = std::conditional_t<Real<own>, compute_type<own>,
                                        std::conditional_t<std::same_as<own, bool>, bool, void>>;
  using type = typename fold<own_vector, typename vector_type_of<Args>::type...>::type;
};

/// The base type of a loop and the lanes of its packets.
template <class Base, int Lanes>
struct Loop {
  using base = Base;
  static constexpr int lanes_used = Lanes;
};

template <class... Nodes>
struct LoopType {
  template <class A, class... Rest>
  struct fold {
    using type = A;
  };
  template <class A, class B, class... Rest>
  struct fold<A, B, Rest...> : fold<typename meet_vector<A, B>::type, Rest...> {};
  using common = typename fold<typename vector_type_of<Nodes>::type...>::type;
  static constexpr bool vectorised = std::same_as<common, float> || std::same_as<common, double>;
  using base = std::conditional_t<vectorised, common, float>;
  static constexpr int lanes_used = [] {
    if constexpr (vectorised)
      return lanes<base>;
    else
      return 1;
  }();
  using type = Loop<base, lanes_used>;
};

/// The loop over the given nodes.
template <class... Nodes>
using LoopOf = typename LoopType<Nodes...>::type;

template <class To, class From, int N>
constexpr auto convert(Packet<From, N> x) {
  if constexpr (std::same_as<To, From>)
    return x;
  else if constexpr (std::same_as<To, bool>)
    return x != Packet<From, N>(From(0));
  else {
    static_assert(N == 1, "a vectorised loop has one type");
    if constexpr (is_dual<From> && !is_dual<To>)  // the gradient of a plain operand beside dual numbers
      return Packet<To, 1>(static_cast<To>(x.v.value));
    else
      return Packet<To, 1>(static_cast<To>(x.v));
  }
}
template <class To, class From, int N>
constexpr auto convert(Mask<From, N> x) {
  if constexpr (std::same_as<To, bool> && N == 1)
    return Mask<float, 1>{x.bits};
  else if constexpr (std::same_as<To, bool>)
    return x;
  else if constexpr (N == 1)
    return Packet<To, 1>(static_cast<To>(x.bits));
  else
    return select(x, Packet<To, N>(To(1)), Packet<To, N>(To(0)));
}

template <class T>
class ScalarCursor {
 public:
  using element = T;
  constexpr explicit ScalarCursor(compute_type<T> value) : value_{value} {}
  constexpr void seek(const auto&) {}
  template <class C, int N, bool>
  constexpr auto at(Index, Index) const {
    if constexpr (std::same_as<T, bool>)
      return Packet<C, N>(C(value_)) != Packet<C, N>(C(0));
    else
      return Packet<compute_type<T>, N>(value_);
  }

 private:
  compute_type<T> value_;
};

template <class T, std::size_t OuterRank, InnerWalk Inner>
class LeafCursor {
 public:
  using element = T;
  constexpr LeafCursor(const T* data, const Steps<OuterRank>& steps) : data_{data}, steps_{steps} {}

  constexpr void seek(const std::array<Index, OuterRank>& coordinates) {
    row_ = data_ + steps_.row_offset(coordinates);
    if constexpr (Inner == InnerWalk::repeat) element_ = *row_;
  }

  // How the elements lie, for loops that read them in other ways.
  constexpr const T* data() const { return data_; }
  constexpr const Steps<OuterRank>& steps() const { return steps_; }
  constexpr const T* row() const { return row_; }

  /// The packet at element i of the row; `count` elements of it exist where not Full.
  template <class C, int N, bool Full>
  [[gnu::always_inline]] constexpr auto at(Index i, Index count) const {
    using W = std::conditional_t<std::same_as<T, bool>, C, compute_type<T>>;
    using P = Packet<W, N>;
    P value;
    if constexpr (Inner == InnerWalk::repeat)
      value = P(static_cast<W>(element_));
    else if constexpr (Inner == InnerWalk::unit)
      value = Full ? P::load(row_ + i) : P::load(row_ + i, count);
    else
      value = P::gather(row_ + i * steps_.inner, steps_.inner, count);
    if constexpr (std::same_as<T, bool>)
      return value != P(W(0));
    else
      return value;
  }

 private:
  struct Nothing {};
  const T* data_;
  const T* row_ = nullptr;
  Steps<OuterRank> steps_;
  // Of the whole row: read once, for what a loop writes could be the same memory as far as the compiler
  // knows.
  [[no_unique_address]] std::conditional_t<Inner == InnerWalk::repeat, T, Nothing> element_{};
};

/// The type in which a functor takes its arguments: that of their promoted elements, float for integers where
/// it takes real numbers; masks stay masks among themselves.
template <class F, class... T>
struct argument_type {
  using promoted_type = typename functors::detail::promote_all<T...>::type;
  static constexpr bool takes_real = requires { typename F::takes_real; };
  using type = compute_type<std::conditional_t<takes_real, floating<promoted_type>, promoted_type>>;
};

/// The values as they are once stored as elements of type To.
template <Narrow To, int N>
constexpr Packet<float, N> rounded(Packet<float, N> x) {
  if constexpr (N == 1)
    return static_cast<float>(To(x.v));
  else
    return NarrowLanes::rounded<To>(x.v);
}

/// F applied to the packets of other cursors; T is the element type of the result.
template <class F, class T, class... Args>
class MapCursor {
 public:
  using element = T;
  constexpr explicit MapCursor(const F& function, const Args&... arguments)
      : function_{function}, arguments_{arguments...} {}

  constexpr void seek(const auto& coordinates) {
    detail::apply([&](auto&... a) { (a.seek(coordinates), ...); }, arguments_);
  }

  template <class C, int N, bool Full>
  [[gnu::always_inline]] constexpr auto at(Index i, Index count) const {
    return detail::apply([&](const auto&... a) { return call(a.template at<C, N, Full>(i, count)...); },
                         arguments_);
  }

  /// The functor's arguments as it takes them.
  template <class... P>
  [[gnu::always_inline]] static constexpr auto converted(P... p) {
    if constexpr (std::same_as<F, functors::Where>) {
      using W = compute_type<element>;
      return [](auto condition, auto a, auto b) {
        return Tuple{condition, convert<W>(a), convert<W>(b)};
      }(p...);
    } else if constexpr (requires { typename F::keeps_type; }) {
      return Tuple{p...};
    } else {
      using W = typename argument_type<F, typename Args::element...>::type;
      return Tuple{convert<W>(p)...};
    }
  }

  constexpr const F& function() const { return function_; }
  constexpr const auto& arguments() const { return arguments_; }

  /// The result for the arguments' packets.
  template <class... P>
  [[gnu::always_inline]] constexpr auto call(P... p) const {
    return convert_result(detail::apply(function_, converted(p...)));
  }

 private:
  template <class P>
  static constexpr auto convert_result(P value) {
    if constexpr (requires { requires F::rounds; })
      return rounded<element>(convert<float>(value));
    else
      return convert<compute_type<element>>(value);
  }

  [[no_unique_address]] F function_;
  Tuple<Args...> arguments_;
};

/// The cursor of a node in a nest over Out whose last Inner axes are collapsed.
template <class Out, int Inner, class Node>
auto lowered(const Node& node) {
  if constexpr (is_scalar_node<Node>) {
    return ScalarCursor<typename Node::element>{node.value};
  } else if constexpr (Node::is_leaf) {
    using S = typename Node::shape_type;
    return LeafCursor<typename Node::element, static_cast<std::size_t>(Out::rank - Inner),
                      inner_walk<S, Out, Inner, Node::layout::unit_inner>>{
        node.view().data(), steps_of<S, Out, Inner>(node.view().strides())};
  } else {
    return detail::apply(
        [&](const auto&... a) {
          return MapCursor<typename Node::function_type, typename Node::element,
                           decltype(lowered<Out, Inner>(a))...>{node.function(), lowered<Out, Inner>(a)...};
        },
        node.arguments());
  }
}

}  // namespace burrow::detail
