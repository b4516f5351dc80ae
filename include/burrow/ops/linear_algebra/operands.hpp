// Operands of linear algebra: square matrices in the last two axes, and right sides that fit them.
#pragma once

#include <burrow/autodiff/forward.hpp>
#include <burrow/ops/linear_algebra/cpu.hpp>
#include <burrow/ops/matmul/matmul.hpp>
#include <burrow/tensor/diagonal.hpp>

namespace burrow {

/// Square matrices [..., n, n] of float or double (or dual numbers of them) on the host.
template <class X>
concept SquareMatrices = Expression<X> && Real<element_of<X>> && !Narrow<element_of<X>> &&
                         detail::on_host<device_of<X>> && shape_of<X>::rank >= 2 &&
                         detail::extents_match<Shape<shape_of<X>::extents[shape_of<X>::extents.size() - 2]>,
                                               Shape<shape_of<X>::extents.back()>>();

namespace detail {

/// True where b is [..., n, m] or [..., n] for matrices a of [..., n, n].
template <class A, class B>
constexpr bool solvable_extents() {
  if (B::rank != A::rank && B::rank != A::rank - 1) return false;
  for (std::size_t i = 0; i + 1 < A::extents.size(); ++i)
    if (A::extents[i] != B::extents[i] && A::extents[i] != dyn && B::extents[i] != dyn) return false;
  return true;
}

template <class A, class B>
concept SolveOperands =
    SquareMatrices<A> && Expression<B> && Real<element_of<B>> && !Narrow<element_of<B>> &&
    std::same_as<device_of<A>, device_of<B>> && solvable_extents<shape_of<A>, shape_of<B>>();

template <class S>
void check_square(const char* operation, const S& shape, Location where) {
  if (shape[-1] != shape[-2])
    throw ShapeError(std::string(operation) + ": " + shape.text() + " is not square" + at(where));
}

template <class A, class B>
void check_solve(const char* operation, const A& a, const B& b, Location where) {
  check_square(operation, a, where);
  for (int axis = 0; axis + 1 < A::rank; ++axis)
    if (a[axis] != b[axis])
      shapes_differ(operation, "a right side of ", b.values(), " does not fit ", a.values(), where);
}

[[noreturn, gnu::cold, gnu::noinline]] inline void matrix_is_refused(const char* what, Index number,
                                                                     std::span<const Index> extents,
                                                                     Location where) {
  throw ValueError(std::string(what) + ": number " + std::to_string(number) + " of " +
                   shape_text(extents.data(), extents.size()) + at(where));
}

/// Vectors [..., n] as matrices of one column; matrices as they are.
template <int Rank, class B>
auto as_columns(const B& b) {
  if constexpr (shape_of<B>::rank == Rank)
    return b;
  else
    return expand_dims<-1>(b);
}

/// True where somebody asks for the gradient of a leaf.
template <class Leaf>
bool asks_for_gradient(const Leaf& leaf) {
  if constexpr (Traced<Leaf>)
    return leaf.wanted();
  else
    return false;
}

/// What is wrong with operands: their elements or their shapes.
template <class Operation, class... X>
using MatricesMisuse = std::conditional_t<((Real<element_of<X>> && !Narrow<element_of<X>>)&&...),
                                          misuse::shapes_do_not_fit<Operation, shape_of<X>...>,
                                          misuse::element_types_are_refused<Operation, element_of<X>...>>;

/// The solution x of matrix x = right for a Method that knows `values`, `transposed_values` and which part of
/// the matrix it reads. Gradients: dright = matrix^-T dx, dmatrix = -dright x^T (Giles 2008, section 2.3).
template <class Method, class A, class B>
auto solution(const char* name, const A& a, const B& b, Location where) {
  using T = promoted<element_of<A>, element_of<B>>;
  const auto tape = tape_of(a, b);
  const auto matrix = dense_operand(tape, cast<T>(a));
  const auto right = dense_operand(tape, as_columns<shape_of<A>::rank>(cast<T>(b)));
  check_solve(name, matrix.shape(), right.shape(), where);
  const auto x = Method::values(materialize(matrix.view()), materialize(right.view()), where);
  const auto backward = [matrix, place = gradient_place(right), x, where](const auto& dx) {
    const auto dright = Method::transposed_values(materialize(matrix.view()), dx, where);
    if (asks_for_gradient(matrix)) add_gradient(matrix, Method::part(-matmul(dright, transpose(x))));
    add_gradient(place, dright);
  };
  const auto y = record(tape, name, x, backward, matrix, right);
  return materialize(reshape(y, b.shape()));
}

}  // namespace detail

}  // namespace burrow
