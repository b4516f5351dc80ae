// linear: a product of matrices and a bias, added before the result leaves the registers.
#pragma once

#include <burrow/ops/matmul/matmul.hpp>

namespace burrow {

namespace detail {
template <class X, class W, class Bias>
constexpr bool linear_extents_fit() {
  if constexpr (shape_of<W>::rank == 2 && shape_of<Bias>::rank == 1)
    return matmul_extents_fit<shape_of<X>, shape_of<W>>() &&
           Broadcastable<shape_of<Bias>, Shape<shape_of<W>::extents[1]>> &&
           (shape_of<Bias>::extents[0] != 1 || shape_of<W>::extents[1] == 1);
  else
    return false;
}

/// Adds the gradients of a product and of a bias that was added to each of its rows, given that of the sum.
/// On a device the library may sum that of the bias while it makes that of the weights.
template <class T, class A, class B, class D, class Bias, class S>
void add_linear_gradients(const ProductHandle<T, A, B, D>& product, const Bias& bias,
                          const Tensor<T, S, D>& dy) {
  // The gradient of what the bias was added to, of which only the bias takes it.
  const auto give = [&]([[maybe_unused]] const auto& gradient) {
    if constexpr (Traced<Bias>) pull_back(D{}, to_node(bias + gradient), to_node(gradient));
  };
  bool wanted = false;
  if constexpr (Traced<Bias>) wanted = any_wanted(*find_tape(bias), bias);
  if constexpr (!on_host<D>)
    if (wanted) {
      Tensor<B, shape_of<Bias>, D> sums{bias.shape()};
      if (product->add_gradients(dy.data(), sums.data()))
        give(std::as_const(sums));
      else
        give(dy);
      return;
    }
  product->add_gradients(dy.data());
  if (wanted) give(dy);
}
}  // namespace detail

/// Operands of `linear`: [..., In], [In, Out] and [Out].
template <class X, class W, class Bias>
concept LinearOperands = Multipliable<X, W> && Expression<Bias> &&
    std::same_as<device_of<X>, device_of<Bias>> && detail::linear_extents_fit<X, W, Bias>();

/// matmul(x, w) + bias for x of [..., In], w of [In, Out] and a bias of [Out], rounded once. Throws
/// ShapeError where run-time extents do not meet. Gradients: dx = dy w^T, dw = x^T dy, dbias = the sum of dy
/// over its rows.
template <class X, class W, class Bias>
requires LinearOperands<X, W, Bias>
auto linear(const X& x, const W& w, const Bias& bias, Location where = Location::here()) {
  using T = promoted<promoted<element_of<X>, element_of<W>>, element_of<Bias>>;
  using D = device_of<X>;
  using Result = ShapeOf<detail::matmul_shape<shape_of<X>, shape_of<W>>>;
  const auto tape = tape_of(x, w, bias);
  auto product = detail::product_of<T, true>(tape, x, w, "linear", where);
  const auto addend = detail::bound(tape, detail::to_node(cast<T>(bias)));
  const Index n = product->columns();
  if (n != addend.shape()[-1])
    detail::shapes_differ("linear", "extents differ: ", product->right_extents(), " + ",
                          addend.shape().values(), where);
  std::array<Index, Result::extents.size()> extents;
  std::copy_n(product->left_extents().begin(), extents.size(), extents.begin());
  extents.back() = n;
  Tensor<T, Result, D> y{Result{extents}};
  {
    Tensor<T, shape_of<Bias>, D> row{addend.shape()};
    evaluate(D{}, addend, addend.shape(), row.data());
    product->evaluate(y.data(), std::as_const(row).data());
  }
  if constexpr (!decltype(tape)::tracing) {
    return record(tape, "linear", y, [](const auto&) {});
  } else {
    const bool wanted = product->wanted() || detail::any_wanted(*tape.tape, addend);
    const double read = product->bytes() + detail::leaf_bytes(addend);
    product.release_operands();
    return detail::record_wanted(
        tape, "linear", y,
        [product = std::move(product), addend](const auto& dy) {
          detail::add_linear_gradients(product, addend, dy);
        },
        wanted, read);
  }
}

// What linear refuses.
namespace operation {
struct linear;
}
namespace detail {
template <class X, class W, class Bias>
using LinearMisuse =
    std::conditional_t<matmul_extents_fit<shape_of<X>, shape_of<W>>(),
                       misuse::shapes_do_not_fit<operation::linear, shape_of<W>, shape_of<Bias>>,
                       misuse::shapes_do_not_fit<operation::linear, shape_of<X>, shape_of<W>>>;
}
template <Expression X, Expression W, Expression Bias>
requires(!LinearOperands<X, W, Bias>) auto linear(const X&, const W&, const Bias&, Location = {})
    -> detail::LinearMisuse<X, W, Bias>;

}  // namespace burrow
