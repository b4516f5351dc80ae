// Systems of linear equations, inverses and determinants, by LU factorisation with partial pivoting.
#pragma once

#include <burrow/ops/linear_algebra/matrices.hpp>
#include <burrow/ops/linear_algebra/operands.hpp>

namespace burrow {

namespace detail {

struct GeneralSystem {
  template <class T, class S, class B>
  static Tensor<T, B> values(const Tensor<T, S>& a, const Tensor<T, B>& right, Location where) {
    if constexpr (is_dual<T>) {
      const auto plain = primal_of(a);
      const auto x = values(plain, primal_of(right), where);
      return dual(x, values(plain, Tensor(tangent_of(right) - matmul(tangent_of(a), x)), where));
    } else {
      auto x = right;
      const Index failed = solve_in_place(matrices_of(a.shape()), a.data(), matrices_of(x.shape()), x.data());
      if (failed >= 0) matrix_is_refused("solve: a matrix is singular", failed, a.shape().values(), where);
      return x;
    }
  }
  template <class T, class S, class B>
  static Tensor<T, B> transposed_values(const Tensor<T, S>& a, const Tensor<T, B>& right, Location where) {
    return values(Tensor(transpose(a)), right, where);
  }
  static auto part(const auto& gradient) { return gradient; }
};

template <class T, class S>
Tensor<T, S> inverse_values(const Tensor<T, S>& a, Location where) {
  if constexpr (is_dual<T>) {
    const auto y = inverse_values(primal_of(a), where);
    return dual(y, -matmul(matmul(y, tangent_of(a)), y));
  } else {
    Tensor<T, S> y{a.shape()};
    const Index failed = invert(matrices_of(a.shape()), a.data(), y.data());
    if (failed >= 0) matrix_is_refused("inverse: a matrix is singular", failed, a.shape().values(), where);
    return y;
  }
}

/// [..., n, n] without the last two axes.
template <class S>
using BatchShape = ShapeOf<without_axis<ShapeOf<without_axis<S, -1>>, -1>>;

template <class S>
auto batch_shape(const S& shape) {
  std::array<Index, S::extents.size() - 2> extents{};
  std::copy_n(shape.values().begin(), extents.size(), extents.begin());
  return BatchShape<S>{extents};
}

/// One number for each matrix: take(pivots, sign of the exchanges of rows).
template <class T, class S, class Take>
auto of_pivots(const Tensor<T, S>& a, const Take& take) {
  Tensor<T, BatchShape<S>> y{batch_shape(a.shape())};
  T* const to = y.data();
  for_each_pivots(matrices_of(a.shape()), a.data(),
                  [&](Index i, const auto& pivots, T swaps) { to[i] = take(pivots, swaps); });
  return y;
}

/// tr(a^-1 da), the derivative of log |det a| along da.
template <class A, class Da>
auto log_determinant_tangent(const A& a, const Da& da, Location where) {
  return trace(matmul(inverse_values(a, where), da));
}

template <class T, class S>
Tensor<T, BatchShape<S>> log_determinant_values(const Tensor<T, S>& a, Location where) {
  if constexpr (is_dual<T>) {
    const auto plain = primal_of(a);
    return dual(log_determinant_values(plain, where), log_determinant_tangent(plain, tangent_of(a), where));
  } else {
    return of_pivots(a, [](const auto& pivots, T) { return pivots.array().abs().log().sum(); });
  }
}

template <class T, class S>
Tensor<T, BatchShape<S>> determinant_values(const Tensor<T, S>& a, Location where) {
  if constexpr (is_dual<T>) {
    const auto plain = primal_of(a);
    const auto y = determinant_values(plain, where);
    return dual(y, y * log_determinant_tangent(plain, tangent_of(a), where));
  } else {
    return of_pivots(a, [](const auto& pivots, T swaps) { return swaps * pivots.prod(); });
  }
}

/// Adds scale a^-T for each matrix to the gradient of `in`.
template <class In, class Scale>
void add_inverse_transposed(const In& in, const Scale& scale, Location where) {
  if (!asks_for_gradient(in)) return;
  const auto inverse = inverse_values(materialize(in.view()), where);
  add_gradient(in, expand_dims<-1>(expand_dims<-1>(scale)) * transpose(inverse));
}

}  // namespace detail

/// The solution x of a x = b: matrices a [..., n, n] of float or double, b [..., n, m] or [..., n], and x has
/// the shape of b. By LU factorisation with partial pivoting; the backward pass factors once more. Throws
/// ValueError where a matrix is singular, ShapeError where run-time extents do not fit.
/// Gradients: db = a^-T dx, da = -db x^T (Giles 2008, "Collected matrix derivative results", section 2.3).
template <Expression A, Expression B>
requires detail::SolveOperands<A, B>
auto solve(const A& a, const B& b, Location where = Location::here()) {
  return detail::solution<detail::GeneralSystem>("solve", a, b, where);
}

/// The inverses of the matrices in the last two axes, [..., n, n] of float or double. `solve` is cheaper and
/// more accurate where the inverse would be multiplied. Throws ValueError where a matrix is singular.
/// Gradient: dx = -y^T dy y^T (Giles 2008, section 2.2).
template <SquareMatrices X>
auto inverse(const X& x, Location where = Location::here()) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  detail::check_square("inverse", in.shape(), where);
  const auto y = detail::inverse_values(materialize(in.view()), where);
  const auto backward = [place = detail::gradient_place(in), y](const auto& dy) {
    const auto transposed = transpose(y);
    add_gradient(place, -matmul(matmul(transposed, dy), transposed));
  };
  return record(tape, "inverse", y, backward, in);
}

/// The determinants of the matrices in the last two axes: [..., n, n] to [...]. It overflows for large n:
/// see `log_determinant`. Gradient: dx = y x^-T dy (Giles 2008, section 2.2); the backward pass throws
/// ValueError where a matrix is singular.
template <SquareMatrices X>
auto determinant(const X& x, Location where = Location::here()) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  detail::check_square("determinant", in.shape(), where);
  const auto y = detail::determinant_values(materialize(in.view()), where);
  const auto backward = [in, y, where](const auto& dy) {
    detail::add_inverse_transposed(in, Tensor(dy * y), where);
  };
  return record(tape, "determinant", y, backward, in);
}

/// log |det x| of the matrices in the last two axes: [..., n, n] to [...]; -infinity where one is singular.
/// Gradient: dx = x^-T dy; the backward pass throws ValueError where a matrix is singular.
template <SquareMatrices X>
auto log_determinant(const X& x, Location where = Location::here()) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  detail::check_square("log_determinant", in.shape(), where);
  const auto y = detail::log_determinant_values(materialize(in.view()), where);
  const auto backward = [in, where](const auto& dy) { detail::add_inverse_transposed(in, dy, where); };
  return record(tape, "log_determinant", y, backward, in);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct solve;
struct inverse;
struct determinant;
struct log_determinant;
}  // namespace operation
template <Expression A, Expression B>
requires(!detail::SolveOperands<A, B>) auto solve(const A&, const B&, Location = {})
    -> detail::MatricesMisuse<operation::solve, A, B>;
template <Expression X>
requires(!SquareMatrices<X>) auto inverse(const X&, Location = {})
    -> detail::MatricesMisuse<operation::inverse, X>;
template <Expression X>
requires(!SquareMatrices<X>) auto determinant(const X&, Location = {})
    -> detail::MatricesMisuse<operation::determinant, X>;
template <Expression X>
requires(!SquareMatrices<X>) auto log_determinant(const X&, Location = {})
    -> detail::MatricesMisuse<operation::log_determinant, X>;

}  // namespace burrow
