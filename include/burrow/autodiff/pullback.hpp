// The reverse sweep of a fused expression: one loop that evaluates the expression again in registers, keeps
// every inner value, and pushes the gradient from the root to the leaves. The loop is generated from the
// expression's own type.
#pragma once

#include <optional>

#include <burrow/autodiff/dual.hpp>
#include <burrow/autodiff/parameter.hpp>
#include <burrow/autodiff/tape.hpp>
#include <burrow/tensor/accumulate.hpp>

namespace burrow::detail {

/// Leaves that can have a gradient: traced values and parameters of a floating-point type.
template <class N>
inline constexpr bool differentiable_leaf = false;
template <Real T, class S, class D, class L>
inline constexpr bool differentiable_leaf<Var<T, S, D, L>> = true;
template <Real T, class S, class D, class L>
inline constexpr bool differentiable_leaf<ParameterView<T, S, D, L>> = true;

template <class N>
inline constexpr bool differentiable = differentiable_leaf<N>;
template <class F, class... Args>
inline constexpr bool differentiable<Map<F, Args...>> = Real<typename Map<F, Args...>::element> &&
                                                        (differentiable<Args> || ...);

template <class N>
inline constexpr std::size_t leaf_count = 1;
template <class F, class... Args>
inline constexpr std::size_t leaf_count<Map<F, Args...>> = (leaf_count<Args> + ... + 0);

/// Number of leaves in the arguments before argument A.
template <std::size_t A, class... Args>
constexpr std::size_t leaves_before() {
  constexpr std::array<std::size_t, sizeof...(Args)> sizes{leaf_count<Args>...};
  std::size_t sum = 0;
  for (std::size_t k = 0; k < A; ++k) sum += sizes[k];
  return sum;
}

/// The tape of an expression with a traced leaf.
template <class N>
Tape* find_tape(const N& node) {
  if constexpr (requires { node.tape(); }) {
    return &node.tape();
  } else if constexpr (!N::is_leaf) {
    Tape* found = nullptr;
    std::apply([&](const auto&... a) { ((found = found != nullptr ? found : find_tape(a)), ...); },
               node.arguments());
    return found;
  } else {
    return nullptr;
  }
}

/// Stands for a leaf that no gradient reaches, such as those in the condition of `where`.
struct UnreachedLeaf {};

/// The leaves of an expression in order, as a tuple.
template <class N>
auto leaves_of(const N& node) {
  if constexpr (!differentiable<N>)
    return std::tuple_cat(std::array<UnreachedLeaf, leaf_count<N>>{});
  else if constexpr (N::is_leaf)
    return std::tuple{node};
  else
    return std::apply([](const auto&... a) { return std::tuple_cat(leaves_of(a)...); }, node.arguments());
}

/// The sink of a leaf without a gradient.
struct NoSink {
  void start_row(const auto&) {}
  void start_block() {}
  void end_block() {}
  void end_row() {}
};

/// Writes or adds packets to elements that only this packet touches.
template <class T, int N, class S, class Out, int Inner>
class DirectSink {
 public:
  DirectSink(const S& shape, T* data, bool accumulate)
      : data_{data}, accumulate_{accumulate}, walk_{row_major_strides(shape.values())} {}
  void start_row(const auto& coordinates) { row_ = data_ + walk_.row_offset(coordinates); }
  template <class C>
  void add(Packet<C, N> value, Index i, Index count, bool full) {
    if (accumulate_)
      value = value + (full ? Packet<C, N>::load(row_ + i) : Packet<C, N>::load(row_ + i, count));
    store_packet(row_ + i, value, count, full);
  }
  void start_block() {}
  void end_block() {}
  void end_row() {}

 private:
  T* data_;
  T* row_ = nullptr;
  bool accumulate_;
  Walk<S, Out, Inner, true> walk_;
};

/// Offset of row-major element j of a shape in an array of the given strides.
template <std::size_t Rank>
Index strided_offset(Index j, const std::array<Index, Rank>& extents,
                     const std::array<Index, Rank>& strides) {
  Index offset = 0;
  for (std::size_t i = Rank; i-- > 0;) {
    offset += j % extents[i] * strides[i];
    j /= extents[i];
  }
  return offset;
}

/// Adds element j of a dense array to a leaf's gradient for every j.
template <class S, class T, class C, std::size_t Rank>
void add_strided(const S& shape, const GradientTarget<T, Rank>& target, const C* values) {
  parallel_for(shape.size(), elementwise_grain, [&](Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      T& to = target.data[strided_offset(j, shape.values(), target.strides)];
      const auto value = static_cast<compute_type<T>>(values[j]);
      to = static_cast<T>(target.accumulate ? static_cast<compute_type<T>>(to) + value : value);
    }
  });
}

/// The gradient of one leaf during a pullback: where the loop's packets go and what is done at the end.
template <class Leaf, class Out, int Inner, int N>
class LeafGradient {
 public:
  LeafGradient(const Leaf&, Tape&, Index) {}
  std::optional<NoSink> sink(Index) { return {}; }
  void finish() {}
};

/// Number of elements of a leaf that repeats over Out and sums its gradient; 1 for others.
template <class Leaf, class Out>
Index summed_size(const Leaf& leaf) {
  if constexpr (differentiable_leaf<Leaf>) {
    for (const bool along : broadcast_mask<typename Leaf::shape_type, Out>())
      if (along) return std::max<Index>(leaf.shape().size(), 1);
  }
  return 1;
}

template <class Leaf, class Out, int Inner, int N>
requires differentiable_leaf<Leaf>
class LeafGradient<Leaf, Out, Inner, N> {
  using T = typename Leaf::element;
  using C = compute_type<T>;
  using S = typename Leaf::shape_type;
  static constexpr bool repeats = [] {
    for (const bool along : broadcast_mask<S, Out>())
      if (along) return true;
    return false;
  }();
  using Direct = DirectSink<T, N, S, Out, Inner>;
  using Summed = Sink<SumOf, C, N, S, Out, Inner>;

 public:
  LeafGradient(const Leaf& leaf, Tape& tape, Index chunks) : leaf_{on_tape(leaf, tape)} {
    if (!leaf_.wanted()) return;
    if constexpr (repeats) {
      partials_.emplace(chunks, leaf_.shape().size());
    } else if (leaf_.whole()) {
      direct_ = leaf_.gradient_target();
    } else {
      dense_.emplace(leaf_.shape());
    }
  }

  /// A sink that drops, writes or sums, as this leaf needs; chosen once for a row, not for a packet.
  auto sink(Index chunk) {
    if constexpr (repeats)
      return std::optional<Summed>{
          partials_ ? std::optional<Summed>{Summed{leaf_.shape(), partials_->partial(chunk)}} : std::nullopt};
    else if (direct_)
      return std::optional<Direct>{Direct{leaf_.shape(), direct_.data, direct_.accumulate}};
    else if (dense_)
      return std::optional<Direct>{Direct{leaf_.shape(), dense_->data(), false}};
    else
      return std::optional<Direct>{};
  }

  void finish() {
    if (partials_) {
      const auto target = leaf_.gradient_target();
      const auto extents = leaf_.shape().values();
      partials_->combine([&](Index j, C value) {
        T& to = target.data[strided_offset(j, extents, target.strides)];
        to = static_cast<T>(target.accumulate ? static_cast<C>(to) + value : value);
      });
    } else if (dense_) {
      add_strided(leaf_.shape(), leaf_.gradient_target(), std::as_const(*dense_).data());
    }
  }

 private:
  static auto on_tape(const Leaf& leaf, Tape& tape) {
    if constexpr (is_parametric<Leaf>)
      return leaf.on(tape);
    else
      return leaf;
  }

  decltype(on_tape(std::declval<const Leaf&>(), std::declval<Tape&>())) leaf_;
  GradientTarget<T, S::extents.size()> direct_{};
  std::optional<Tensor<T, S, typename Leaf::device>> dense_;
  std::optional<Partials<SumOf, C>> partials_;
};

template <std::size_t First, class C, int N, class F, class... Args, class Cursor, class Record, class Sinks,
          class P>
void push_arguments(const Map<F, Args...>*, const Cursor& cursor, const Record& record, Sinks& sinks, P g,
                    Index i, Index count, bool full);

/// Pushes gradient packet g of a node to the sinks of its leaves, which start at number First.
template <std::size_t First, class C, int N, class Node, class Cursor, class Record, class Sinks, class P>
void push(const Cursor& cursor, const Record& record, Sinks& sinks, P g, Index i, Index count, bool full) {
  if constexpr (differentiable_leaf<Node>) {
    auto& sink = std::get<First>(sinks);
    if (sink) sink->add(g, i, count, full);
  } else if constexpr (differentiable<Node>) {
    push_arguments<First, C, N>(static_cast<const Node*>(nullptr), cursor, record, sinks, g, i, count, full);
  }
}

/// Pushes the gradient g of a map times the slope of one argument to that argument.
template <std::size_t First, class C, int N, class Arg, class Cursor, class Record, class Sinks, class P,
          class Slope>
void push_argument(const Cursor& cursor, const Record& record, Sinks& sinks, P g, Slope slope, Index i,
                   Index count, bool full) {
  if constexpr (differentiable<Arg>) {
    using W = compute_type<typename Arg::element>;
    push<First, C, N, Arg>(cursor, record, sinks, convert<W>(convert<typename Slope::value_type>(g) * slope),
                           i, count, full);
  }
}

template <std::size_t First, class C, int N, class... Args, std::size_t... I, class Cursor, class Record,
          class Sinks, class P>
void push_each(std::index_sequence<I...>, const Cursor& cursor, const Record& record, Sinks& sinks, P g,
               Index i, Index count, bool full) {
  const auto& records = std::get<1>(record);
  const auto arguments = Cursor::converted(std::get<0>(std::get<I>(records))...);
  const auto slopes = derivatives_of(cursor.function(), std::get<0>(record), std::get<I>(arguments)...);
  (push_argument<First + leaves_before<I, Args...>(), C, N, Args>(
       std::get<I>(cursor.arguments()), std::get<I>(records), sinks, g, std::get<I>(slopes), i, count, full),
   ...);
}

template <std::size_t First, class C, int N, class F, class... Args, class Cursor, class Record, class Sinks,
          class P>
void push_arguments(const Map<F, Args...>*, const Cursor& cursor, const Record& record, Sinks& sinks, P g,
                    Index i, Index count, bool full) {
  push_each<First, C, N, Args...>(std::index_sequence_for<Args...>{}, cursor, record, sinks, g, i, count,
                                  full);
}

/// Adds to the gradients of an expression's leaves, given the gradient of its value (any expression that
/// broadcasts to its shape).
template <class Node, class Gradient>
void pull_back(Cpu, const Node& node, const Gradient& gradient) {
  using Out = typename Node::shape_type;
  using Loop = LoopType<Node, Gradient>;
  using C = typename Loop::base;
  constexpr int n = Loop::lanes_used;
  constexpr int inner = inner_axes<Out, Node, Gradient>();
  Tape& tape = *find_tape(node);
  const LoopNest<Out, inner> nest{node.shape()};
  const auto leaves = leaves_of(node);
  const Index chunks = chunk_count(
      node.shape().size(),
      std::apply(
          [](const auto&... leaf) {
            return std::max({Index{1}, summed_size<std::remove_cvref_t<decltype(leaf)>, Out>(leaf)...});
          },
          leaves));
  const Cursor<Node, Out, inner> source{node};
  const Cursor<Gradient, Out, inner> gradient_source{gradient};
  auto targets = std::apply(
      [&](const auto&... leaf) {
        return std::tuple{
            LeafGradient<std::remove_cvref_t<decltype(leaf)>, Out, inner, n>{leaf, tape, chunks}...};
      },
      leaves);
  const auto run = [&](Index c, Index first, Index last, Index begin, Index end) {
    auto cursor = source;
    auto gradient_cursor = gradient_source;
    auto sinks = std::apply([c](auto&... t) { return std::tuple{t.sink(c)...}; }, targets);
    const auto each = [&](const auto& f) { std::apply([&](auto&... s) { (f(s), ...); }, sinks); };
    for (Index r = first; r < last; ++r) {
      const auto coordinates = nest.coordinates(r);
      cursor.seek(coordinates);
      gradient_cursor.seek(coordinates);
      each([&](auto& s) {
        if (s) s->start_row(coordinates);
      });
      for_blocks<n>(
          begin, end,
          [&] {
            each([](auto& s) {
              if (s) s->start_block();
            });
          },
          [&]<bool Full>(Index i, Index count) {
            using W = compute_type<typename Node::element>;
            const auto g = convert<W>(gradient_cursor.template at<C, n, Full>(i, count));
            push<0, C, n, Node>(cursor, cursor.template record<C, n, Full>(i, count), sinks, g, i, count,
                                Full);
          },
          [&] {
            each([](auto& s) {
              if (s) s->end_block();
            });
          });
      each([](auto& s) {
        if (s) s->end_row();
      });
    }
  };
  for_chunks<n>(nest, chunks, run);
  std::apply([](auto&... t) { (t.finish(), ...); }, targets);
}

}  // namespace burrow::detail
