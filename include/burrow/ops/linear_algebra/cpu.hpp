// Factorisations of matrices on the CPU, by Eigen. The matrices of a batch are shared among the threads.
#pragma once

#include <atomic>

#include <burrow/core/eigen.hpp>
#include <burrow/ops/rows.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <Eigen/Cholesky>
#include <Eigen/LU>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

namespace burrow::detail {

enum class Triangle { lower, upper };

/// Matrices of `rows` rows and `columns` columns, one after the other, row-major.
struct MatrixStack {
  Index count, rows, columns;

  Index size() const { return rows * columns; }
};

template <class S>
MatrixStack matrices_of(const S& shape) {
  MatrixStack result{1, shape[-2], shape[-1]};
  for (int axis = 0; axis + 2 < S::rank; ++axis) result.count *= shape[axis];
  return result;
}

template <class T>
using RowMajorMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Matrix number i of those at `data`.
template <class T>
auto matrix_at(T* data, const MatrixStack& all, Index i) {
  using Matrix = RowMajorMatrix<std::remove_const_t<T>>;
  using Seen = std::conditional_t<std::is_const_v<T>, const Matrix, Matrix>;
  return Eigen::Map<Seen>(data + i * all.size(), all.rows, all.columns);
}

/// Calls body(i) for each matrix, in parallel; the number of the first for which it is false, or -1.
template <class Body>
Index first_failure(const MatrixStack& all, const Body& body) {
  std::atomic<Index> failed{all.count};
  const Index work = std::max<Index>(all.rows * all.rows * all.columns, 1);
  parallel_for(all.count, std::max<Index>(elementwise_grain / work, 1), [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      if (body(i)) continue;
      Index first = failed;
      while (i < first && !failed.compare_exchange_weak(first, i)) {
      }
    }
  });
  return failed < all.count ? failed.load() : -1;
}

/// a becomes the lower triangular L with L L^T = a.
template <class T>
Index cholesky_in_place(const MatrixStack& all, T* a) {
  return first_failure(all, [&](Index i) {
    auto matrix = matrix_at(a, all, i);
    const Eigen::LLT<Eigen::Ref<RowMajorMatrix<T>>> factor(matrix);
    matrix.template triangularView<Eigen::StrictlyUpper>().setZero();
    return factor.info() == Eigen::Success;
  });
}

/// x becomes the solution of t x = b, of which x has the elements.
template <Triangle Kind, class T>
void solve_triangle_in_place(const MatrixStack& triangles, const T* t, const MatrixStack& columns, T* x) {
  constexpr auto mode = Kind == Triangle::lower ? Eigen::Lower : Eigen::Upper;
  first_failure(columns, [&](Index i) {
    auto right = matrix_at(x, columns, i);
    matrix_at(t, triangles, i).template triangularView<mode>().solveInPlace(right);
    return true;
  });
}

/// The pivots of an LU factorisation that make a matrix singular are zero.
template <class Factors>
bool invertible(const Factors& lu) {
  return (lu.matrixLU().diagonal().array() != 0).all();
}

/// x becomes the solution of a x = b, of which x has the elements.
template <class T>
Index solve_in_place(const MatrixStack& squares, const T* a, const MatrixStack& columns, T* x) {
  return first_failure(columns, [&](Index i) {
    const Eigen::PartialPivLU<RowMajorMatrix<T>> lu(matrix_at(a, squares, i));
    auto right = matrix_at(x, columns, i);
    right = lu.solve(right).eval();
    return invertible(lu);
  });
}

/// y becomes the inverse of a.
template <class T>
Index invert(const MatrixStack& squares, const T* a, T* y) {
  return first_failure(squares, [&](Index i) {
    const Eigen::PartialPivLU<RowMajorMatrix<T>> lu(matrix_at(a, squares, i));
    matrix_at(y, squares, i) = lu.inverse();
    return invertible(lu);
  });
}

/// read(i, pivots, swaps) for each matrix a, of the LU factorisation: the diagonal of U, and the sign of the
/// exchanges of rows.
template <class T, class Read>
void for_each_pivots(const MatrixStack& squares, const T* a, const Read& read) {
  first_failure(squares, [&](Index i) {
    const Eigen::PartialPivLU<RowMajorMatrix<T>> lu(matrix_at(a, squares, i));
    read(i, lu.matrixLU().diagonal().eval(), static_cast<T>(lu.permutationP().determinant()));
    return true;
  });
}

}  // namespace burrow::detail
