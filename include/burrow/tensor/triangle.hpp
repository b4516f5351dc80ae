// Square things: the identity matrix, triangular masks, and the triangles of matrices.
#pragma once

#include <burrow/tensor/create.hpp>

namespace burrow {

/// The matrix with ones on its diagonal and zeros elsewhere: eye<Shape<3, 3>>().
template <class S, Element T = float, class D = Cpu>
requires(S::rank == 2) Tensor<T, S, D> eye(const S& shape = {}) {
  auto result = zeros<S, T, D>(shape);
  T* const out = result.data();
  for (Index i = 0; i < std::min(shape[0], shape[1]); ++i) out[i * shape[1] + i] = T(1);
  return result;
}

/// The mask of a matrix that is true on and below a diagonal: 0 is the main one, k the k-th above it, -k the
/// k-th below it.
template <class S, class D = Cpu>
requires(S::rank == 2) Tensor<bool, S, D> lower_triangle(const S& shape = {}, Index diagonal = 0) {
  auto result = full<S, bool, D>(false, shape);
  bool* const out = result.data();
  for (Index i = 0; i < shape[0]; ++i)
    std::fill_n(out + i * shape[1], std::clamp<Index>(i + diagonal + 1, 0, shape[1]), true);
  return result;
}
/// The mask of a matrix that is true on and above a diagonal.
template <class S, class D = Cpu>
requires(S::rank == 2) auto upper_triangle(const S& shape = {}, Index diagonal = 0) {
  return Tensor(!lower_triangle<S, D>(shape, diagonal - 1));
}

namespace detail {
template <class S>
struct Matrices {
  static constexpr std::array<Index, 2> extents{S::extents[S::extents.size() - 2], S::extents.back()};
};
template <class S>
auto matrix_shape(const S& shape) {
  return ShapeOf<Matrices<S>>{{shape[-2], shape[-1]}};
}
}  // namespace detail

/// The matrices in the last two axes with zeros above a diagonal; lazy, like every elementwise function.
template <Expression E>
requires(shape_of<E>::rank >= 2) auto tril(const E& x, Index diagonal = 0) {
  return where(lower_triangle(detail::matrix_shape(x.shape()), diagonal), x, 0);
}
/// The matrices in the last two axes with zeros below a diagonal.
template <Expression E>
requires(shape_of<E>::rank >= 2) auto triu(const E& x, Index diagonal = 0) {
  return where(upper_triangle(detail::matrix_shape(x.shape()), diagonal), x, 0);
}

}  // namespace burrow
