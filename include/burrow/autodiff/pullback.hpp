// The reverse sweep of a fused expression: one loop that evaluates the expression again in registers, keeps
// every inner value, and pushes the gradient from the root to the leaves. The loop is generated from the
// expression's own type.
#pragma once

#include <burrow/autodiff/dual.hpp>
#include <burrow/autodiff/leaf_gradient.hpp>
#include <burrow/autodiff/parameter.hpp>
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

/// The tape of an expression with a traced leaf.
template <class N>
Tape* find_tape(const N& node) {
  if constexpr (requires { node.tape(); }) {
    return &node.tape();
  } else if constexpr (!N::is_leaf) {
    Tape* found = nullptr;
    detail::apply([&](const auto&... a) { ((found = found != nullptr ? found : find_tape(a)), ...); },
                  node.arguments());
    return found;
  } else {
    return nullptr;
  }
}

/// Where no gradient goes.
struct NoSink {
  static constexpr bool in_blocks() { return false; }
  void start_row(const auto&) {}
  void start_block() {}
  void end_block() {}
  void end_row() {}
};

/// The sinks of a map's arguments.
template <class... S>
struct SinkList {
  static constexpr bool in_blocks() { return (S::in_blocks() || ...); }
  Tuple<S...> sinks;

  void start_row(const auto& coordinates) {
    detail::apply([&](auto&... s) { (s.start_row(coordinates), ...); }, sinks);
  }
  void start_block() {
    detail::apply([](auto&... s) { (s.start_block(), ...); }, sinks);
  }
  void end_block() {
    detail::apply([](auto&... s) { (s.end_block(), ...); }, sinks);
  }
  void end_row() {
    detail::apply([](auto&... s) { (s.end_row(), ...); }, sinks);
  }
};

/// Writes or adds packets to elements that only this packet touches; drops them where there are none.
template <class T, int N, std::size_t OuterRank>
class DirectSink {
 public:
  static constexpr bool in_blocks() { return false; }

  DirectSink(T* data, bool accumulate, const Steps<OuterRank>& steps)
      : data_{data}, accumulate_{accumulate}, steps_{steps} {}
  void start_row(const std::array<Index, OuterRank>& coordinates) {
    row_ = data_ + steps_.row_offset(coordinates);
  }
  template <class C>
  [[gnu::always_inline]] void add(Packet<C, N> value, Index i, Index count, bool full) {
    if (data_ == nullptr) return;
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
  Steps<OuterRank> steps_;
};

/// True where a leaf of shape S repeats over Out, so that its gradient is a sum.
template <class S, class Out>
inline constexpr bool sums_gradient = [] {
  for (const bool along : broadcast_mask<S, Out>())
    if (along) return true;
  return false;
}();

/// The number of elements of the largest leaf that sums its gradient; 1 at least.
template <class Out, class Node>
Index summed_size(const Node& node) {
  if constexpr (!differentiable<Node>) {
    return 1;
  } else if constexpr (Node::is_leaf) {
    return sums_gradient<typename Node::shape_type, Out> ? std::max<Index>(node.shape().size(), 1) : 1;
  } else {
    Index largest = 1;
    detail::apply([&](const auto&... a) { ((largest = std::max(largest, summed_size<Out>(a))), ...); },
                  node.arguments());
    return largest;
  }
}

/// The gradients of a node's leaves during a pullback: where the loop's packets go and what is done at the
/// end.
template <class Node, class Out, int Inner, int N>
class NodeGradient {
 public:
  NodeGradient(const Node&, Tape&, Index) {}
  NoSink sink(Index) { return {}; }
  void finish() {}
};

template <class Leaf, class Out, int Inner, int N>
requires differentiable_leaf<Leaf>
class NodeGradient<Leaf, Out, Inner, N> {
  using T = typename Leaf::element;
  using S = typename Leaf::shape_type;
  static constexpr bool sums = sums_gradient<S, Out>;

 public:
  NodeGradient(const Leaf& leaf, Tape& tape, Index chunks)
      : shape_{leaf.shape()}, gradient_{of_variable(leaf, on_tape(leaf, tape), chunks)} {}

  /// A sink that drops, writes or sums, as this leaf needs.
  auto sink(Index chunk) {
    if constexpr (sums)
      return sink_for<Out, Inner, N>(shape_, gradient_.partial(chunk));
    else
      return DirectSink<T, N, static_cast<std::size_t>(Out::rank - Inner)>{
          gradient_.data(), gradient_.accumulates(),
          steps_of<S, Out, Inner>(row_major_strides(shape_.values()))};
  }

  void finish() { gradient_.finish(); }

 private:
  static decltype(auto) on_tape(const Leaf& leaf, Tape& tape) {
    if constexpr (is_parametric<Leaf>)
      return leaf.on(tape);
    else
      return (leaf);
  }
  template <class Variable>
  static LeafGradient<T> of_variable(const Leaf& leaf, const Variable& variable, Index chunks) {
    return {variable.tape(),
            variable.slot(),
            variable.offset(),
            leaf.shape().values(),
            leaf.view().kept_strides(),
            sums,
            chunks};
  }

  const S& shape_;  // the node outlives its gradient
  LeafGradient<T> gradient_;
};

template <class F, class... Args, class Out, int Inner, int N>
requires differentiable<Map<F, Args...>>
class NodeGradient<Map<F, Args...>, Out, Inner, N> {
 public:
  NodeGradient(const Map<F, Args...>& node, Tape& tape, Index chunks)
      : NodeGradient(node, tape, chunks, std::index_sequence_for<Args...>{}) {}

  auto sink(Index chunk) { return sinks(chunk, std::index_sequence_for<Args...>{}); }
  void finish() {
    detail::apply([](auto&... a) { (a.finish(), ...); }, arguments_);
  }

 private:
  template <std::size_t... I>
  NodeGradient(const Map<F, Args...>& node, Tape& tape, Index chunks, std::index_sequence<I...>)
      : arguments_{NodeGradient<Args, Out, Inner, N>{detail::get<I>(node.arguments()), tape, chunks}...} {}
  template <std::size_t... I>
  auto sinks(Index chunk, std::index_sequence<I...>) {
    using Sinks = SinkList<decltype(detail::get<I>(arguments_).sink(chunk))...>;
    return Sinks{{detail::get<I>(arguments_).sink(chunk)...}};
  }

  Tuple<NodeGradient<Args, Out, Inner, N>...> arguments_;
};

/// An argument of a map in the reverse sweep: its value, and what takes its gradient.
template <class Value, class Push>
struct Swept {
  Value value;
  const Push& push;
};

/// Takes the gradient of what needs none.
struct NoPush {
  constexpr void operator()(auto) const {}
};

/// The packets of one step of the loop: C, N and Full as `at` of a cursor takes them.
template <class C, int N, bool Full>
struct SweepStep {
  Index i, count;

  /// Evaluates a cursor and calls next(value, push); push(gradient) hands the gradient of the value down to
  /// the sinks of its leaves, from the first to the last. Values stay in variables of the functions that
  /// these calls become, which is to say in registers.
  template <class Cursor, class Next>
  [[gnu::always_inline]] constexpr void sweep(const Cursor& cursor, NoSink&, const Next& next) const {
    next(cursor.template at<C, N, Full>(i, count), NoPush{});
  }
  template <class Cursor, class Sink, class Next>
  [[gnu::always_inline]] constexpr void sweep(const Cursor& cursor, Sink& sink, const Next& next) const {
    next(
        cursor.template at<C, N, Full>(i, count), [&](auto gradient) __attribute__((always_inline)) {
          sink.add(gradient, i, count, Full);
        });
  }
  template <class Cursor, class... S, class Next>
  [[gnu::always_inline]] constexpr void sweep(const Cursor& cursor, SinkList<S...>& sinks,
                                              const Next& next) const {
    arguments<0>(cursor, sinks, next);
  }

 private:
  /// Sweeps the arguments from number A on; those before it are `known`.
  template <std::size_t A, class Cursor, class... S, class Next, class... Known>
  [[gnu::always_inline]] constexpr void arguments(const Cursor& cursor, SinkList<S...>& sinks,
                                                  const Next& next, const Known&... known) const {
    if constexpr (A == sizeof...(S)) {
      const auto value = cursor.call(known.value...);
      next(
          value, [&](auto gradient) __attribute__((always_inline)) {
            push_scaled(std::index_sequence_for<S...>{}, cursor, value, gradient, known...);
          });
    } else {
      sweep(
          detail::get<A>(cursor.arguments()), detail::get<A>(sinks.sinks),
          [&]<class Value, class Push>(Value argument, const Push& push) __attribute__((always_inline)) {
            arguments<A + 1>(cursor, sinks, next, known..., Swept<Value, Push>{argument, push});
          });
    }
  }

  /// Pushes the gradient of a map times the slopes to its arguments.
  template <std::size_t... I, class Cursor, class Value, class P, class... Known>
  [[gnu::always_inline]] static constexpr void push_scaled(std::index_sequence<I...>, const Cursor& cursor,
                                                           Value value, P gradient, const Known&... known) {
    const auto taken = Cursor::converted(known.value...);
    const auto slopes = derivatives_of(cursor.function(), value, detail::get<I>(taken)...);
    (push_product(detail::get<I>(cursor.arguments()), known.push, gradient, std::get<I>(slopes)), ...);
  }
  template <class Argument, class Push, class P, class Slope>
  [[gnu::always_inline]] static constexpr void push_product(const Argument&, const Push& push, P gradient,
                                                            Slope slope) {
    if constexpr (!std::same_as<Push, NoPush>)
      push(convert<compute_type<typename Argument::element>>(convert<typename Slope::value_type>(gradient) *
                                                             slope));
  }
};

/// The loop of `pull_back`; make_sink(target, chunk) gives the sinks of a chunk.
template <class Loop, class Nest, class Source, class Gradient, class Sinks>
void pull_back_loop(const Nest& nest, Index chunks, const Source& source, const Gradient& gradient,
                    Sinks (*make_sinks)(void*, Index), void* target) {
  constexpr int n = Loop::lanes_used;
  using C = typename Loop::base;
  using W = compute_type<typename Source::element>;
  for_chunks<n>(nest, chunks, [&](Index c, Index first, Index last, Index begin, Index end) {
    auto cursor = source;
    auto gradient_cursor = gradient;
    const auto made = make_sinks(target, c);
    auto sinks = made;  // whose address nobody has, so that it can live in registers
    for (Index r = first; r < last; ++r) {
      const auto coordinates = nest.coordinates(r);
      cursor.seek(coordinates);
      gradient_cursor.seek(coordinates);
      sinks.start_row(coordinates);
      for_blocks<n, Sinks::in_blocks()>(
          begin, end, [&] { sinks.start_block(); },
          [&]<bool Full>(Index i, Index count) __attribute__((always_inline)) {
            const auto g = convert<W>(gradient_cursor.template at<C, n, Full>(i, count));
            SweepStep<C, n, Full>{i, count}.sweep(
                cursor, sinks, [&](auto, const auto& push) __attribute__((always_inline)) { push(g); });
          },
          [&] { sinks.end_block(); });
      sinks.end_row();
    }
  });
}

/// Adds to the gradients of an expression's leaves, given the gradient of its value (any expression that
/// broadcasts to its shape).
template <class Node, class Gradient>
void pull_back(Cpu, const Node& node, const Gradient& gradient) {
  using Out = typename Node::shape_type;
  using Loop = LoopOf<Node, Gradient>;
  constexpr int inner = inner_axes<Out, Node, Gradient>();
  using Target = NodeGradient<Node, Out, inner, Loop::lanes_used>;
  const Index chunks = chunk_count(node.shape().size(), summed_size<Out>(node));
  Target target{node, *find_tape(node), chunks};
  using Sinks = decltype(target.sink(0));
  pull_back_loop<Loop>(
      loop_nest<inner>(node.shape()), chunks, lowered<Out, inner>(node), lowered<Out, inner>(gradient),
      +[](void* t, Index chunk) -> Sinks { return static_cast<Target*>(t)->sink(chunk); }, &target);
  target.finish();
}

}  // namespace burrow::detail
