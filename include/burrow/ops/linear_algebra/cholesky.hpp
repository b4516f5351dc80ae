// The Cholesky factorisation, and systems of equations with triangular matrices.
#pragma once

#include <burrow/ops/linear_algebra/operands.hpp>

namespace burrow {

namespace detail {

template <Triangle Kind>
struct TriangularSystem {
  static constexpr Triangle other = Kind == Triangle::lower ? Triangle::upper : Triangle::lower;

  template <class T, class S, class B>
  static Tensor<T, B> values(const Tensor<T, S>& t, const Tensor<T, B>& right, Location where) {
    if constexpr (is_dual<T>) {
      const auto plain = primal_of(t);
      const auto x = values(plain, primal_of(right), where);
      return dual(x, values(plain, Tensor(tangent_of(right) - matmul(part(tangent_of(t)), x)), where));
    } else {
      auto x = right;
      solve_triangle_in_place<Kind>(matrices_of(t.shape()), t.data(), matrices_of(x.shape()), x.data());
      return x;
    }
  }
  template <class T, class S, class B>
  static Tensor<T, B> transposed_values(const Tensor<T, S>& t, const Tensor<T, B>& right, Location where) {
    return TriangularSystem<other>::values(Tensor(transpose(t)), right, where);
  }
  static auto part(const auto& gradient) {
    if constexpr (Kind == Triangle::lower)
      return tril(gradient);
    else
      return triu(gradient);
  }
};

using LowerSystem = TriangularSystem<Triangle::lower>;

/// The lower triangle with half of the diagonal.
template <class X>
auto half_triangle(const X& x) {
  return Tensor(tril(x, -1) + diagonal_matrix(diagonal(x)) * 0.5);
}

/// L^-1 x L^-T
template <class L, class X>
auto between_inverses(const L& l, const X& x, Location where) {
  const auto left = LowerSystem::values(l, x, where);
  return Tensor(transpose(LowerSystem::values(l, Tensor(transpose(left)), where)));
}

/// The lower triangular L with L L^T = a, for symmetric a. Its tangent is L half_triangle(L^-1 da L^-T).
template <class T, class S>
Tensor<T, S> cholesky_values(const Tensor<T, S>& a, Location where) {
  if constexpr (is_dual<T>) {
    const auto l = cholesky_values(primal_of(a), where);
    return dual(l, matmul(l, half_triangle(between_inverses(l, tangent_of(a), where))));
  } else {
    auto l = a;
    const Index failed = cholesky_in_place(matrices_of(l.shape()), l.data());
    if (failed >= 0)
      matrix_is_refused("cholesky: a matrix is not positive definite", failed, a.shape().values(), where);
    return l;
  }
}

}  // namespace detail

/// The solution x of l x = b for lower triangular l [..., n, n], whose elements above the diagonal are not
/// read; b is [..., n, m] or [..., n], and x has its shape. A zero on the diagonal gives infinities. Throws
/// ShapeError where run-time extents do not fit. Gradients: db = l^-T dx, dl = -tril(db x^T).
template <Expression L, Expression B>
requires detail::SolveOperands<L, B>
auto solve_lower(const L& l, const B& b, Location where = Location::here()) {
  return detail::solution<detail::LowerSystem>("solve_lower", l, b, where);
}

/// The same for upper triangular u, whose elements below the diagonal are not read:
/// `solve_upper(transpose(l), y)`.
template <Expression U, Expression B>
requires detail::SolveOperands<U, B>
auto solve_upper(const U& u, const B& b, Location where = Location::here()) {
  return detail::solution<detail::TriangularSystem<detail::Triangle::upper>>("solve_upper", u, b, where);
}

/// The lower triangular L with L L^T = (x + x^T) / 2, for symmetric positive definite matrices in the last
/// two axes, [..., n, n] of float or double. Throws ValueError where one is not positive definite, ShapeError
/// where one is not square. Gradient: dx = (S + S^T) / 2 with S = L^-T P L^-1, P the lower triangle of L^T dL
/// with half of its diagonal (Murray 2016, "Differentiation of the Cholesky decomposition").
template <SquareMatrices X>
auto cholesky(const X& x, Location where = Location::here()) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  detail::check_square("cholesky", in.shape(), where);
  const auto view = in.view();
  const auto l = detail::cholesky_values(Tensor((view + transpose(view)) * 0.5), where);
  const auto backward = [place = detail::gradient_place(in), l, where](const auto& dl) {
    const Tensor upper = transpose(l);
    const auto solve = [&](const auto& right) {
      return detail::TriangularSystem<detail::Triangle::upper>::values(upper, Tensor(right), where);
    };
    const auto p = detail::half_triangle(matmul(upper, tril(dl)));
    const auto s = solve(transpose(solve(p)));
    add_gradient(place, (s + transpose(s)) * 0.5);
  };
  return record(tape, "cholesky", l, backward, in);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct cholesky;
struct solve_lower;
struct solve_upper;
}  // namespace operation
template <Expression X>
requires(!SquareMatrices<X>) auto cholesky(const X&, Location = {})
    -> detail::MatricesMisuse<operation::cholesky, X>;
template <Expression L, Expression B>
requires(!detail::SolveOperands<L, B>) auto solve_lower(const L&, const B&, Location = {})
    -> detail::MatricesMisuse<operation::solve_lower, L, B>;
template <Expression U, Expression B>
requires(!detail::SolveOperands<U, B>) auto solve_upper(const U&, const B&, Location = {})
    -> detail::MatricesMisuse<operation::solve_upper, U, B>;

}  // namespace burrow
