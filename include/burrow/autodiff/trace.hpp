// How operations meet the tape: operands become views or traced values, results are recorded, gradients are
// added. A custom operation is written with `tape_of`, `operand`, `record` and `add_gradient`; see
// docs/guide/operations.md.
#pragma once

#include <burrow/autodiff/pullback.hpp>

namespace burrow {

namespace detail {

/// The absence of a tape: nothing is recorded.
struct NoTape {
  static constexpr bool tracing = false;
};

/// A tape found among the operands of an operation.
struct TapeReference {
  static constexpr bool tracing = true;
  Tape* tape;
};

/// True where the tape differentiates a leaf of an expression.
template <class N>
bool any_wanted(const Tape& tape, const N& node) {
  if constexpr (requires { node.wanted(); })
    return node.wanted();
  else if constexpr (is_parametric<N>)
    return node.wanted_on(tape);
  else if constexpr (!N::is_leaf)
    return detail::apply([&](const auto&... a) { return (any_wanted(tape, a) || ...); }, node.arguments());
  else
    return false;
}

/// `record` for inputs of a number that is known at run time: whether anybody asks for a gradient is given.
template <class T, class S, class D, class Backward>
auto record_wanted(TapeReference tape, const char* name, const Tensor<T, S, D>& value, Backward&& backward,
                   bool wanted, double read = 0) {
  auto recorded = tape.tape->record(name, value, wanted, std::forward<Backward>(backward));
  if (observed()) tell_value(name, value, read);
  return recorded;
}

/// Bytes of all inputs of an operation.
template <Expression... Inputs>
double input_bytes(const Inputs&... inputs) {
  return (leaf_bytes(as_node(inputs)) + ... + 0.0);
}

}  // namespace detail

/// The tape that watches one of the operands, or the absence of one.
template <Expression... E>
auto tape_of(const E&... e) {
  if (detail::observed()) detail::tell_beginning();
  if constexpr ((Traced<E> || ...)) {
    Tape* found = nullptr;
    ((found = found != nullptr ? found : detail::find_tape(detail::as_node(e))), ...);
    return detail::TapeReference{found};
  } else {
    return detail::NoTape{};
  }
}

/// The value of a traced operation as a Var, or of an untraced one as the tensor itself. `backward(dy)` is
/// called in the reverse sweep with the gradient of `value`; it calls `add_gradient` for each input. The
/// inputs say whether anybody asks for a gradient.
template <class T, class S, class D, class Backward, class... Inputs>
auto record(detail::NoTape, const char* name, const Tensor<T, S, D>& value, Backward&&,
            const Inputs&... inputs) {
  if (detail::observed()) detail::tell_value(name, value, detail::input_bytes(inputs...));
  return value;
}
template <class T, class S, class D, class Backward, class... Inputs>
auto record(detail::TapeReference tape, const char* name, const Tensor<T, S, D>& value, Backward&& backward,
            const Inputs&... inputs) {
  return detail::record_wanted(tape, name, value, std::forward<Backward>(backward),
                               (detail::any_wanted(*tape.tape, detail::as_node(inputs)) || ...),
                               detail::observed() ? detail::input_bytes(inputs...) : 0);
}

namespace detail {
/// Untraced, and broadcast to the shape of x.
template <class Gradient, class X>
concept GradientOf = !Traced<Gradient> && broadcast_pair<shape_of<Gradient>, shape_of<X>>::fits &&
                     Matching<ShapeOf<broadcast_pair<shape_of<Gradient>, shape_of<X>>>, shape_of<X>>;

/// True where a leaf takes the gradient of N as it is, or takes none.
template <class N, class Leaf>
inline constexpr bool takes_whole_gradient =
    !differentiable<Leaf> || (is_dense_leaf<Leaf> && !is_parametric<Leaf> &&
                              std::same_as<typename Leaf::element, typename N::element> &&
                              std::same_as<typename Leaf::shape_type, typename N::shape_type>);

/// Throws ShapeError where run-time extents of a gradient do not broadcast to the shape of its operand.
template <class Gradient, class X>
void check_gradient_shape(const Gradient& gradient, const X& x, Location where) {
  if (broadcast(gradient, x, "add_gradient", where).values() != x.values())
    shapes_differ("add_gradient", "a gradient of ", gradient.values(), " for an operand of ", x.values(),
                  where);
}

/// A sum whose operands all take its gradient as it is: they share one array.
template <class N>
inline constexpr bool shares_gradient = false;
template <class A, class B>
inline constexpr bool shares_gradient<Map<functors::Add, A, B>> =
    takes_whole_gradient<Map<functors::Add, A, B>, A>&& takes_whole_gradient<Map<functors::Add, A, B>, B>;

/// A leaf to which a gradient can be added, without its elements, for operations that do not need them then.
template <class T, class S, class D, class L>
Var<T, S, D, L> gradient_place(const Var<T, S, D, L>& x) {
  if constexpr (Var<T, S, D, L>::contiguous)
    return {&x.tape(), x.slot(), View<T, S, D, L>{{}, nullptr, x.shape()}, x.offset()};
  else
    return {&x.tape(), x.slot(), View<T, S, D, L>{{}, nullptr, x.shape(), x.view().strides()}, x.offset()};
}
template <class N>
N gradient_place(const N& constant) {
  return constant;
}

/// An expression as its backward pass needs it: a sum's operands need no values.
template <class N>
N for_gradient(const N& node) {
  return node;
}
template <class A, class B>
requires shares_gradient<Map<functors::Add, A, B>>
auto for_gradient(const Map<functors::Add, A, B>& sum) {
  const auto& a = detail::get<0>(sum.arguments());
  const auto& b = detail::get<1>(sum.arguments());
  return Map<functors::Add, A, B>{sum.function(), gradient_place(a), gradient_place(b)};
}
}  // namespace detail

namespace operation {
struct add_gradient;
}
template <Expression X, Expression Gradient>
requires(!detail::GradientOf<Gradient, X>) auto add_gradient(const X&, const Gradient&, Location = {})
    -> std::conditional_t<
        Traced<Gradient>, misuse::gradient_would_be_lost<operation::add_gradient, Gradient>,
        misuse::shapes_do_not_fit<operation::add_gradient, shape_of<X>, shape_of<Gradient>>>;

/// Adds `gradient` (any untraced expression that broadcasts to x's shape) to the gradient of x: nothing where
/// x is not traced, into its leaves where x is an expression. Throws ShapeError where run-time extents do not
/// fit.
template <Expression X, Expression Gradient>
requires detail::GradientOf<Gradient, X>
void add_gradient(const X& x, const Gradient& gradient, Location where = Location::here()) {
  using Node = detail::node_of<X>;
  using Dense = Tensor<element_of<X>, shape_of<X>, device_of<X>>;
  if constexpr (!Traced<X> || !Real<element_of<X>>) {
    return;
  } else if constexpr (detail::shares_gradient<Node> && std::same_as<Gradient, Dense>) {
    const auto hand_over = [&](const auto& leaf) {
      if constexpr (detail::differentiable<std::remove_cvref_t<decltype(leaf)>>)
        add_gradient(leaf, gradient, where);
    };
    detail::apply([&](const auto&... a) { (hand_over(a), ...); }, x.arguments());
  } else if constexpr (!Node::is_leaf) {
    if constexpr (!shape_of<X>::is_static || !shape_of<Gradient>::is_static)
      detail::check_gradient_shape(gradient.shape(), x.shape(), where);
    pull_back(device_of<X>{}, x, detail::as_node(gradient));
  } else {
    if (!x.wanted()) return;
    if constexpr (!shape_of<X>::is_static || !shape_of<Gradient>::is_static)
      detail::check_gradient_shape(gradient.shape(), x.shape(), where);
    if constexpr (std::same_as<Gradient, Dense>)
      if (x.adopt_gradient(gradient)) return;
    if (Node::contiguous && x.whole()) {
      const auto target = x.gradient_target();
      if (target.accumulate) {
        const View<element_of<X>, shape_of<X>, device_of<X>> old{{}, target.data, x.shape()};
        evaluate(device_of<X>{}, cast<element_of<X>>(old + gradient), x.shape(), target.data);
      } else {
        evaluate(device_of<X>{}, detail::to_node(cast<element_of<X>>(gradient)), x.shape(), target.data);
      }
    } else {
      Dense dense{x.shape()};
      evaluate(device_of<X>{}, detail::to_node(cast<element_of<X>>(gradient)), x.shape(), dense.data());
      add_strided(device_of<X>{}, x.shape(), x.gradient_target(), std::as_const(dense).data());
    }
  }
}

namespace detail {

/// The gradient of an expression, which is all that a sum needs; others have their operands, and so can be
/// evaluated again.
template <class N>
struct ExpressionRecord {
  N node;

  void operator()(const auto& dy) const { add_gradient(node, dy); }
  auto again() const requires(!shares_gradient<N>) {
    Tensor<typename N::element, typename N::shape_type, device_of<N>> value{node.shape()};
    evaluate(device_of<N>{}, node, node.shape(), value.data());
    return value;
  }
};

template <class N>
ExpressionRecord<N> expression_record(const N& node) {
  return {for_gradient(node)};
}

}  // namespace detail

/// A traced expression evaluated once: a Var whose gradient flows back through the fused reverse loop.
template <Traced E>
auto materialize(const E& e) {
  using Node = detail::node_of<E>;
  if constexpr (detail::is_dense_leaf<Node>) {
    return e;
  } else {
    const auto tape = tape_of(e);
    Tensor<element_of<E>, shape_of<E>, device_of<E>> value{e.shape()};
    evaluate(device_of<E>{}, e, e.shape(), value.data());
    return record(tape, detail::node_name<Node>(), value, detail::expression_record(detail::to_node(e)), e);
  }
}

namespace detail {

template <class N>
inline constexpr bool holds_parameters = is_parametric<N>;
template <class F, class... Args>
inline constexpr bool holds_parameters<Map<F, Args...>> = (holds_parameters<Args> || ...);

/// A node with its parameters as the traced values of a tape, or without a tape as it is.
template <class N>
auto bound(NoTape, const N& node) {
  if constexpr (is_parametric<N>)
    return untraced_view(node);
  else
    return node;
}
template <class N>
auto bound(TapeReference tape, const N& node) {
  if constexpr (is_parametric<N>)
    return node.on(*tape.tape);
  else if constexpr (holds_parameters<N>)
    return detail::apply(
        [&](const auto&... a) {
          return Map<typename N::function_type, decltype(bound(tape, a))...>{node.function(),
                                                                             bound(tape, a)...};
        },
        node.arguments());
  else
    return node;
}
}  // namespace detail

namespace detail {
/// A tensor or a traced value that nobody else needs, as a leaf.
template <class T, class S, class D>
View<T, S, D> leaf_of(Tensor<T, S, D>&& value) {
  return std::move(value).leaf();
}
template <class T, class S, class D, class L>
Var<T, S, D, L> leaf_of(Var<T, S, D, L>&& value) {
  return std::move(value);
}
}  // namespace detail

/// An operand of an operation as a leaf of any layout: a view, or a Var where the tape differentiates it.
/// Elementwise expressions are evaluated.
template <class TapeLike, Expression E>
auto operand(TapeLike tape, const E& e) {
  using Node = detail::node_of<E>;
  if constexpr (Node::is_leaf)
    return detail::bound(tape, detail::as_node(e));
  else if constexpr (TapeLike::tracing && detail::holds_parameters<Node>)
    return detail::leaf_of(materialize(detail::bound(tape, e)));
  else
    return detail::leaf_of(materialize(e));
}

/// An operand without gaps in memory; strided views are copied.
template <class TapeLike, Expression E>
auto dense_operand(TapeLike tape, const E& e) {
  return detail::leaf_of(materialize(operand(tape, e)));
}

/// Anything with a `value`-less gradient: the same elements, through which no gradient flows.
template <Expression E>
auto stop_gradient(const E& e) {
  if constexpr (Traced<E>)
    return materialize(e).value();
  else if constexpr (detail::is_parametric<detail::node_of<E>>)
    return detail::to_node(e).view();
  else
    return detail::to_node(e);
}

/// A constant that takes part in the trace of `traced`: what is computed from it and parameters is recorded.
/// Without a trace, the constant itself.
template <Expression E, class T, class S, class D>
auto beside(const E& traced, const Tensor<T, S, D>& constant) {
  if constexpr (Traced<E>)
    return Var<T, S, D>{tape_of(traced).tape, -1, constant.leaf()};
  else
    return constant;
}

}  // namespace burrow
