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
  const auto left = detail::matrix_leaf<true>(tape, detail::unrounded<T>(x));
  const auto right = detail::matrix_leaf<false>(tape, detail::unrounded<T>(w));
  const auto addend = detail::bound(tape, detail::to_node(cast<T>(bias)));
  auto extents = left.shape().values();
  const Index k = extents.back(), n = right.shape()[-1];
  if (k != right.shape()[-2])
    detail::shapes_differ("linear", "extents differ: ", left.shape().values(), " x ", right.shape().values(),
                          where);
  if (n != addend.shape()[-1])
    detail::shapes_differ("linear", "extents differ: ", right.shape().values(), " + ",
                          addend.shape().values(), where);
  Index m = 1;
  for (std::size_t i = 0; i + 1 < extents.size(); ++i) m *= extents[i];
  extents.back() = n;
  Tensor<T, Result, D> y{Result{extents}};
  {
    Tensor<T, shape_of<Bias>, D> row{addend.shape()};
    detail::evaluate(D{}, addend, addend.shape(), row.data());
    const auto a = detail::matrices_of<true>(left);
    const auto b = detail::matrices_of<false>(right);
    detail::tell_product<element_of<std::decay_t<decltype(left)>>, element_of<std::decay_t<decltype(right)>>,
                         T>(1, m, n, k, false);
    cpu::multiply<T>(m, n, k, 1, a.matrices(0), b.matrices(0),
                     cpu::Destination<T>{y.data(), n, std::as_const(row).data(), 0});
  }
  if constexpr (!decltype(tape)::tracing)
    return record(tape, "linear", y, [](const auto&) {});
  else
    return record(
        tape, "linear", y,
        [left, right, addend, m, n, k](const auto& dy) {
          detail::add_product_gradients<T, false>(left, right, 1, m, n, k, dy.data());
          // The sum of a product and the bias, of which only the bias takes a gradient here.
          if constexpr (Traced<decltype(addend)>)
            if (detail::any_wanted(*detail::find_tape(addend), addend))
              detail::pull_back(D{}, detail::to_node(addend + dy), detail::to_node(dy));
        },
        left, right, addend);
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
requires(!LinearOperands<X, W, Bias>) auto linear(const X&, const W&, const Bias&)
    -> detail::LinearMisuse<X, W, Bias>;

}  // namespace burrow
