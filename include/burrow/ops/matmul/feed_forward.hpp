// feed_forward: two linear maps with a GELU between them; on a device one operation, in which the GELU and
// its gradient are parts of the products before and after it.
#pragma once

#include <burrow/ops/matmul/linear.hpp>
#include <burrow/tensor/activations.hpp>

namespace burrow {

namespace detail {

/// The hidden layer of feed_forward, [rows, columns].
template <class T, class D>
struct HiddenLayer {
  Index rows, columns;
  Buffer<D> before;  ///< x w + b
  Buffer<D> values;  ///< gelu of it; empty where it is computed again

  HiddenLayer(Index of_rows, Index of_columns)
      : rows{of_rows}, columns{of_columns}, before{bytes()}, values{bytes()} {}

  static T* data(const Buffer<D>& buffer) { return static_cast<T*>(buffer.data()); }

  /// gelu(before) as an operand of the second product; computed again where it was not kept. `read` says that
  /// somebody reads it.
  ProductOperand<T, D> operand(bool read) const {
    Buffer<D> at = values;
    if (read && !at && bytes() > 0) {
      at = Buffer<D>{bytes()};
      gelu_of(D{}, rows * columns, std::as_const(*this).data(before), data(at));
    }
    const std::array<Index, 2> extents{rows, columns}, strides{columns, 1};
    return {data(at), at, extents, strides};
  }

 private:
  Index bytes() const { return rows * columns * Index{sizeof(T)}; }
};

/// The second product of feed_forward.
template <class T, class D, class B>
auto product_of_hidden(const HiddenLayer<T, D>& hidden, ProductOperand<B, D> weights, Location where) {
  const bool read = weights.wanted();
  return product<T>(hidden.operand(read), std::move(weights), "feed_forward", where);
}

/// A bias as it is added, not traced.
template <class T, class D, class Bias>
Tensor<T, shape_of<Bias>, D> row_of(const Bias& bias) {
  Tensor<T, shape_of<Bias>, D> row{bias.shape()};
  evaluate(D{}, bias, bias.shape(), row.data());
  return row;
}

template <class X, class Up, class UpBias>
using hidden_element = promoted<promoted<element_of<X>, element_of<Up>>, element_of<UpBias>>;

/// feed_forward on a device.
template <class X, class Up, class UpBias, class Down, class DownBias>
auto fused_feed_forward(const X& x, const Up& up, const UpBias& up_bias, const Down& down,
                        const DownBias& down_bias, Location where) {
  using T = hidden_element<X, Up, UpBias>;
  static_assert(std::same_as<T, promoted<T, hidden_element<Down, Down, DownBias>>>,
                "feed_forward: on a GPU the second map has the element type of the first");
  using D = device_of<X>;
  using Result = ShapeOf<matmul_shape<shape_of<X>, shape_of<Down>>>;
  using Hidden = HiddenLayer<T, D>;
  const auto tape = tape_of(x, up, up_bias, down, down_bias);
  auto first = product_of<T, true>(tape, x, up, "feed_forward", where);
  const auto first_bias = bound(tape, to_node(cast<T>(up_bias)));
  const auto second_bias = bound(tape, to_node(cast<T>(down_bias)));
  const Index columns = first->columns(), rows = first->rows_of_result();
  Hidden hidden{rows, columns};
  auto weights = product_operand(matrix_leaf<false>(tape, unrounded<T>(down)));
  const auto second = product_of_hidden(hidden, weights, where);
  const auto check = [&](Index extent, const auto& bias) {
    if (extent != bias.shape()[-1])
      shapes_differ("feed_forward", "extents differ: ", std::array{extent}, " + ", bias.shape().values(),
                    where);
  };
  check(columns, first_bias);
  check(second->columns(), second_bias);
  const auto first_row = row_of<T, D>(first_bias);
  const auto second_row = row_of<T, D>(second_bias);
  first->evaluate_gelu(Hidden::data(hidden.before), Hidden::data(hidden.values), first_row.data());
  std::array<Index, Result::extents.size()> extents;
  std::copy_n(first->left_extents().begin(), extents.size(), extents.begin());
  extents.back() = second->columns();
  Tensor<T, Result, D> y{Result{extents}};
  second->evaluate(y.data(), second_row.data());
  if constexpr (!decltype(tape)::tracing) {
    return record(tape, "feed_forward", y, [](const auto&) {});
  } else {
    const bool before = first->wanted() || any_wanted(*tape.tape, first_bias);
    const bool wanted = before || second->wanted() || any_wanted(*tape.tape, second_bias);
    first.release_operands();
    weights.release(before);
    if (tape.tape->recomputes_values()) hidden.values = {};
    return record_wanted(
        tape, "feed_forward", y,
        [first = std::move(first), weights, first_bias, second_bias, hidden, before, where](const auto& dy) {
          const auto products = product_of_hidden(hidden, weights, where);
          add_linear_gradients(products, second_bias, dy);
          if (!before) return;
          Tensor<T, Shape<dyn, dyn>, D> inner{Shape<dyn, dyn>{{hidden.rows, hidden.columns}}};
          products->gelu_gradient(dy.data(), Hidden::data(hidden.before), inner.data());
          add_linear_gradients(first, first_bias, std::as_const(inner));
        },
        wanted);
  }
}

}  // namespace detail

/// linear(gelu(linear(x, up, up_bias)), down, down_bias) for x of [..., In], up of [In, Hidden], down of
/// [Hidden, Out] and biases of [Hidden] and [Out]. On a GPU the GELU is computed where the first product is
/// written, from numbers that were not rounded, and its derivative where the gradient of the hidden layer is.
/// Throws ShapeError where run-time extents do not meet. Gradients as of the two maps. What is kept of the
/// hidden layer is what it was before the GELU; where a tape computes no values again, what it was behind it
/// as well.
template <class X, class Up, class UpBias, class Down, class DownBias>
requires LinearOperands<X, Up, UpBias>
auto feed_forward(const X& x, const Up& up, const UpBias& up_bias, const Down& down,
                  const DownBias& down_bias, Location where = Location::here()) {
  if constexpr (detail::on_host<device_of<X>>)
    return linear(gelu(linear(x, up, up_bias, where)), down, down_bias, where);
  else
    return detail::fused_feed_forward(x, up, up_bias, down, down_bias, where);
}

// What feed_forward refuses, in the words of linear.
template <Expression X, Expression Up, Expression UpBias, Expression Down, Expression DownBias>
requires(!LinearOperands<X, Up, UpBias>) auto feed_forward(const X&, const Up&, const UpBias&, const Down&,
                                                           const DownBias&, Location = {})
    -> detail::LinearMisuse<X, Up, UpBias>;

}  // namespace burrow
