// What operations along the last axis share: the rows of a tensor or of an expression, folds of one row, and
// where the gradient of a dense operand goes.
#pragma once

#include <burrow/autodiff/trace.hpp>
#include <burrow/tensor/functions.hpp>

namespace burrow {

/// What a norm of a sum gives: both the sum and its norm.
template <class Sum, class Norm>
struct SumAndNorm {
  Sum sum;
  Norm norm;
};

}  // namespace burrow

namespace burrow::detail {

/// A dense tensor seen as rows along its last axis.
struct Rows {
  Index count;
  Index width;
  constexpr Index size() const { return count * width; }
};

template <class S>
requires(S::rank >= 1) Rows rows_of(const S& shape) {
  Rows rows{1, shape[-1]};
  for (int axis = 0; axis + 1 < S::rank; ++axis) rows.count *= shape[axis];
  return rows;
}

/// body(row) for every row, in parallel.
template <class Body>
void for_each_row(const Rows& rows, const Body& body) {
  const Index grain = elementwise_grain / 4 / std::max<Index>(rows.width, 1);
  parallel_for(rows.count, std::max<Index>(grain, 1), [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) body(r);
  });
}

/// for_each_row in fixed pieces: body(piece, row), where each of `pieces` pieces runs on one thread, in
/// order.
template <class Start, class Body>
void for_each_row(const Rows& rows, Index pieces, const Start& start, const Body& body) {
  parallel_tasks(pieces, [&](Index piece) {
    auto state = start(piece);
    for (Index r = rows.count * piece / pieces; r < rows.count * (piece + 1) / pieces; ++r) body(state, r);
  });
}

/// The rows of an array: source(r) gives where row r begins.
template <class T>
struct DenseRows {
  const T* data;
  Index width;
  constexpr const T* operator()(Index r) const { return data + r * width; }
};

template <class Leaf>
DenseRows<element_of<Leaf>> dense_rows(const Leaf& x) {
  return {x.view().data(), x.shape()[-1]};
}

/// The rows of an expression: source(r) writes row r to an array and gives where it begins there.
template <class Loop, class T, class Nest, class Cursor>
struct EvaluatedRows {
  Nest nest;
  Cursor cursor;
  T* data;

  const T* operator()(Index r) const {
    auto from = cursor;
    from.seek(nest.coordinates(r));
    T* const to = data + r * nest.inner;
    for_packets<Loop::lanes_used>(0, nest.inner, [&]<bool Full>(Index i, Index count) {
      store_packet(to + i, from.template at<typename Loop::base, Loop::lanes_used, Full>(i, count), count,
                   Full);
    });
    return to;
  }
};

/// Calls forward(source) with the rows of an expression of shape S, each evaluated into `value` while the
/// operation is at it.
template <class S, class Node, class T, class Forward>
void with_evaluated_rows(Cpu, const Node& node, const S& shape, T* value, const Forward& forward) {
  const auto nest = loop_nest<1>(shape);
  const auto cursor = lowered<S, 1>(node);
  forward(EvaluatedRows<LoopOf<Node>, T, std::remove_const_t<decltype(nest)>,
                        std::remove_const_t<decltype(cursor)>>{nest, cursor, value});
}

/// An operand of an operation that reads it row by row, each once: calls forward(source), which takes every
/// row from source(r), and gives the operand as a Var, a view or a tensor without gaps. An expression is
/// evaluated meanwhile, each row while the operation is at it; `name` is what is recorded.
template <class TapeLike, Expression X, class Forward>
auto row_operand(TapeLike tape, const char* name, const X& x, const Forward& forward) {
  using T = element_of<X>;
  const auto node = bound(tape, to_node(x));
  if constexpr (is_dense_leaf<std::remove_const_t<decltype(node)>>) {
    forward(dense_rows(node));
    return node;
  } else {
    using S = shape_of<X>;
    if constexpr (!TapeLike::tracing) check_untraced(node);
    const auto& source = without_cast<T>(node);
    Tensor<T, S, device_of<X>> value{node.shape()};
    with_evaluated_rows(device_of<X>{}, source, node.shape(), value.data(), forward);
    return record(
        tape, name, value, [node = for_gradient(node)](const auto& dy) { add_gradient(node, dy); }, node);
  }
}

template <class C, bool Full, class T>
Packet<C> load_packet(const T* p, Index count) {
  if constexpr (Full)
    return Packet<C>::load(p);
  else
    return Packet<C>::load(p, count);
}

/// Folds term<Full>(i, count), a packet for the elements from i, over one row in four independent chains.
template <class Op, class C, class Term>
C fold_row(Index width, const Term& term) {
  using P = Packet<C>;
  constexpr Index n = P::size;
  constexpr C identity = Op::template identity<C>;
  P a(identity), b(identity), c(identity), d(identity);
  Index i = 0;
  for (; i + 4 * n <= width; i += 4 * n) {
    a = Op::combine(a, term.template operator()<true>(i, n));
    b = Op::combine(b, term.template operator()<true>(i + n, n));
    c = Op::combine(c, term.template operator()<true>(i + 2 * n, n));
    d = Op::combine(d, term.template operator()<true>(i + 3 * n, n));
  }
  for (; i + n <= width; i += n) a = Op::combine(a, term.template operator()<true>(i, n));
  if (i < width) {
    alignas(64) C tail[n];
    std::fill_n(tail, n, identity);
    term.template operator()<false>(i, width - i).store(tail, width - i);
    b = Op::combine(b, P::load(tail));
  }
  return Op::lanes(Op::combine(Op::combine(a, b), Op::combine(c, d)));
}

template <class C, class Term>
C row_sum(Index width, const Term& term) {
  return fold_row<SumOf, C>(width, term);
}

template <class C, class T>
C row_max(const T* x, Index width) {
  return fold_row<MaximumOf, C>(
      width, [x]<bool Full>(Index i, Index count) { return load_packet<C, Full>(x + i, count); });
}

/// An array that a gradient is written or added to; no data where nobody asks for it.
template <class T>
struct DenseTarget {
  T* data = nullptr;
  bool accumulate = false;
  explicit operator bool() const { return data != nullptr; }

  constexpr DenseTarget row(Index r, Index width) const { return {data + r * width, accumulate}; }

  template <bool Full, class C>
  void put(Index i, Packet<C> value, Index count) const {
    if (accumulate) value = value + load_packet<C, Full>(data + i, count);
    store_packet(data + i, value, count, Full);
  }
  template <class C>
  constexpr void put(Index i, C value) const {
    data[i] = static_cast<T>(accumulate ? static_cast<C>(data[i]) + value : value);
  }
};

/// Where the gradient of a dense operand goes. Take it once for each gradient, and write all of it.
template <class Node>
DenseTarget<element_of<Node>> dense_target(const Node& x) {
  static_assert(Node::contiguous);
  if constexpr (Traced<Node>) {
    const auto target = x.gradient_target();
    return {target.data, target.accumulate};
  } else {
    return {};
  }
}

/// True where V has one element for each element of X's last axis (or may at run time).
template <class V, class X>
concept PerFeature =
    Expression<V> && Expression<X> && Real<element_of<V>> && Real<element_of<X>> && shape_of<V>::rank == 1 &&
    shape_of<X>::rank >= 1 &&
    Matching<shape_of<V>, Shape<shape_of<X>::extents[shape_of<X>::extents.size() - 1]>>;

/// What is wrong with vectors along the last axis of x: their types, else their shapes.
template <class Operation, class X, class... Vectors>
using PerFeatureMisuse =
    std::conditional_t<Real<element_of<X>> && (Real<element_of<Vectors>> && ...),
                       misuse::shapes_do_not_fit<Operation, shape_of<X>, shape_of<Vectors>...>,
                       misuse::element_types_are_refused<Operation, element_of<X>, element_of<Vectors>...>>;

/// a + b as an expression, or what is wrong with it.
template <class A, class B>
using Added = decltype(std::declval<const A&>() + std::declval<const B&>());

/// What is wrong with a norm of a + b.
template <class Operation, class Sum, class... Vectors>
struct sum_misuse {
  using type = Sum;
};
template <class Operation, Expression Sum, class... Vectors>
struct sum_misuse<Operation, Sum, Vectors...> {
  using type = PerFeatureMisuse<Operation, Sum, Vectors...>;
};

/// Throws where a vector's run-time extent is not that of the last axis of x.
template <class S, class X>
void check_per_feature(const char* operation, const char* name, const S& vector, const X& x, Location where) {
  if (vector[0] != x[-1])
    throw ShapeError(std::string(operation) + ": " + name + " " + vector.text() +
                     " does not fit the last axis of " + x.text() + at(where));
}

}  // namespace burrow::detail
