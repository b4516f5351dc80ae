// Cursors: an expression lowered to raw pointers for one loop nest. The trailing axes that every leaf walks
// alike are collapsed at compile time into one inner loop over packets; the remaining axes are rows.
#pragma once

#include <array>
#include <utility>

#include <burrow/tensor/expression.hpp>
#include <burrow/tensor/functors.hpp>

namespace burrow::detail {

/// For each axis of Out, whether a leaf of shape S repeats along it.
template <class S, class Out>
constexpr auto broadcast_mask() {
  std::array<bool, Out::extents.size()> mask{};
  for (std::size_t i = 0; i < mask.size(); ++i)
    mask[i] = aligned_extent(S::extents, mask.size(), i) == 1 && Out::extents[i] != 1;
  return mask;
}

template <class Node, class Out>
constexpr bool may_extend(std::size_t axis) {
  if constexpr (Node::is_leaf) {
    constexpr auto mask = broadcast_mask<typename Node::shape_type, Out>();
    bool any = false, all = true;
    for (std::size_t i = axis; i < mask.size(); ++i) {
      if (Out::extents[i] == 1) continue;
      any = any || mask[i];
      all = all && mask[i];
    }
    if constexpr (is_scalar_node<Node>)
      return true;
    else
      return all || (!any && Node::contiguous);
  } else {
    return []<class F, class... Args>(const Map<F, Args...>*, std::size_t a) {
      return (may_extend<Args, Out>(a) && ...);
    }(static_cast<const Node*>(nullptr), axis);
  }
}

/// Number of trailing axes of Out that all the nodes walk as one.
template <class Out, class... Nodes>
constexpr int inner_axes() {
  if (Out::rank == 0) return 0;
  int count = 1;
  while (count < Out::rank &&
         (may_extend<Nodes, Out>(static_cast<std::size_t>(Out::rank - count - 1)) && ...))
    ++count;
  return count;
}

/// The loop nest over a shape: `rows` rows of `inner` elements.
template <class Out, int Inner>
struct LoopNest {
  static constexpr std::size_t outer_rank = static_cast<std::size_t>(Out::rank - Inner);
  std::array<Index, outer_rank> outer{};
  Index rows = 1;
  Index inner = 1;

  explicit LoopNest(const Out& shape) {
    for (std::size_t i = 0; i < shape.values().size(); ++i) {
      if (i < outer_rank) outer[i] = shape.values()[i];
      (i < outer_rank ? rows : inner) *= shape.values()[i];
    }
  }

  std::array<Index, outer_rank> coordinates(Index row) const {
    std::array<Index, outer_rank> result{};
    if constexpr (outer_rank == 1) {
      result[0] = row;
    } else {
      for (std::size_t i = outer_rank; i-- > 0;) {
        result[i] = row % outer[i];
        row /= outer[i];
      }
    }
    return result;
  }
};

enum class InnerWalk { repeat, unit, strided };

/// How a leaf of shape S and layout L moves in a nest over Out with Inner collapsed axes.
template <class S, class Out, int Inner, bool UnitInner>
struct Walk {
  static constexpr std::size_t outer_rank = static_cast<std::size_t>(Out::rank - Inner);
  static constexpr InnerWalk inner = [] {
    constexpr auto mask = broadcast_mask<S, Out>();
    bool moves = false;
    for (std::size_t i = outer_rank; i < mask.size(); ++i)
      moves = moves || (!mask[i] && Out::extents[i] != 1);
    return !moves ? InnerWalk::repeat : UnitInner ? InnerWalk::unit : InnerWalk::strided;
  }();

  std::array<Index, outer_rank> outer_strides{};
  Index inner_stride = 1;

  Walk() = default;
  template <std::size_t Rank>
  explicit Walk(const std::array<Index, Rank>& strides) {
    constexpr auto mask = broadcast_mask<S, Out>();
    constexpr std::size_t missing = Out::extents.size() - Rank;
    for (std::size_t i = missing; i < Out::extents.size(); ++i) {
      const Index step = mask[i] ? 0 : strides[i - missing];
      if (i < outer_rank)
        outer_strides[i] = step;
      else
        inner_stride = step;
    }
  }

  Index row_offset(const std::array<Index, outer_rank>& coordinates) const {
    Index offset = 0;
    for (std::size_t i = 0; i < outer_rank; ++i) offset += coordinates[i] * outer_strides[i];
    return offset;
  }
};

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

/// Lanes and base type of the loop over the given nodes.
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
};

template <class To, class From, int N>
auto convert(Packet<From, N> x) {
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
auto convert(Mask<From, N> x) {
  if constexpr (std::same_as<To, bool> && N == 1)
    return Mask<float, 1>{x.bits};
  else if constexpr (std::same_as<To, bool>)
    return x;
  else if constexpr (N == 1)
    return Packet<To, 1>(static_cast<To>(x.bits));
  else
    return select(x, Packet<To, N>(To(1)), Packet<To, N>(To(0)));
}

/// The value of a node at one packet and the records of its arguments.
template <class Value, class Arguments>
struct Record {
  Value value;
  Arguments arguments;
};
template <class Value, class Arguments>
Record(Value, Arguments) -> Record<Value, Arguments>;

template <class Node, class Out, int Inner>
class Cursor;

template <class T, class Out, int Inner>
class Cursor<Scalar<T>, Out, Inner> {
 public:
  using element = T;
  explicit Cursor(const Scalar<T>& node) : value_{node.value} {}
  void seek(const auto&) {}
  template <class C, int N, bool>
  auto at(Index, Index) const {
    if constexpr (std::same_as<T, bool>)
      return Packet<C, N>(C(value_)) != Packet<C, N>(C(0));
    else
      return Packet<compute_type<T>, N>(value_);
  }
  template <class C, int N, bool Full>
  auto record(Index i, Index count) const {
    return Record{at<C, N, Full>(i, count), Tuple<>{}};
  }

 private:
  compute_type<T> value_;
};

template <class Leaf, class Out, int Inner>
requires Leaf::is_leaf class Cursor<Leaf, Out, Inner> {
 public:
  using element = typename Leaf::element;
  explicit Cursor(const Leaf& leaf) : data_{leaf.view().data()}, walk_{leaf.view().strides()} {}

  void seek(const auto& coordinates) { row_ = data_ + walk_.row_offset(coordinates); }

  /// The packet at element i of the row; `count` elements of it exist where not Full.
  template <class C, int N, bool Full>
  auto at(Index i, Index count) const {
    using W = std::conditional_t<std::same_as<element, bool>, C, compute_type<element>>;
    using P = Packet<W, N>;
    P value;
    if constexpr (Walk<typename Leaf::shape_type, Out, Inner, Leaf::layout::unit_inner>::inner ==
                  InnerWalk::repeat)
      value = P(static_cast<W>(*row_));
    else if constexpr (Walk<typename Leaf::shape_type, Out, Inner, Leaf::layout::unit_inner>::inner ==
                       InnerWalk::unit)
      value = Full ? P::load(row_ + i) : P::load(row_ + i, count);
    else
      value = P::gather(row_ + i * walk_.inner_stride, walk_.inner_stride, count);
    if constexpr (std::same_as<element, bool>)
      return value != P(W(0));
    else
      return value;
  }
  template <class C, int N, bool Full>
  auto record(Index i, Index count) const {
    return Record{at<C, N, Full>(i, count), Tuple<>{}};
  }

 private:
  const element* data_;
  const element* row_ = nullptr;
  Walk<typename Leaf::shape_type, Out, Inner, Leaf::layout::unit_inner> walk_;
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
Packet<float, N> rounded(Packet<float, N> x) {
  if constexpr (N == 1)
    return static_cast<float>(To(x.v));
  else
    return NarrowLanes::rounded<To>(x.v);
}

template <class F, class... Args, class Out, int Inner>
class Cursor<Map<F, Args...>, Out, Inner> {
 public:
  using element = typename Map<F, Args...>::element;
  explicit Cursor(const Map<F, Args...>& node)
      : function_{node.function()},
        arguments_{detail::apply([](const auto&... a) { return Arguments{Cursor<Args, Out, Inner>{a}...}; },
                                 node.arguments())} {}

  void seek(const auto& coordinates) {
    detail::apply([&](auto&... a) { (a.seek(coordinates), ...); }, arguments_);
  }

  template <class C, int N, bool Full>
  auto at(Index i, Index count) const {
    return detail::apply([&](const auto&... a) { return call(a.template at<C, N, Full>(i, count)...); },
                         arguments_);
  }

  /// The values here and below, for the reverse sweep.
  template <class C, int N, bool Full>
  auto record(Index i, Index count) const {
    const auto records = detail::apply(
        [&](const auto&... a) { return Tuple{a.template record<C, N, Full>(i, count)...}; }, arguments_);
    return Record{detail::apply([&](const auto&... r) { return call(r.value...); }, records), records};
  }

  /// The functor's arguments as it takes them.
  template <class... P>
  static auto converted(P... p) {
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

  const F& function() const { return function_; }
  const auto& arguments() const { return arguments_; }

 private:
  using Arguments = Tuple<Cursor<Args, Out, Inner>...>;

  template <class... P>
  auto call(P... p) const {
    return convert_result(detail::apply(function_, converted(p...)));
  }
  template <class P>
  static auto convert_result(P value) {
    if constexpr (requires { requires F::rounds; })
      return rounded<element>(convert<float>(value));
    else
      return convert<compute_type<element>>(value);
  }

  [[no_unique_address]] F function_;
  Arguments arguments_;
};

}  // namespace burrow::detail
