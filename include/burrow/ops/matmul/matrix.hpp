// Matrices in memory, and batches of them in the last two axes of an array, as products take them.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include <burrow/core/error.hpp>
#include <burrow/core/shape.hpp>

namespace burrow::detail {

/// A row-major matrix in memory, or the transpose of one: element (i, j) is data[i * stride + j], transposed
/// data[j * stride + i].
template <class T>
struct Matrix {
  T* data;
  Index stride;
  bool transposed = false;

  constexpr Matrix transpose() const { return {data, stride, !transposed}; }
  constexpr Matrix block(Index row, Index column) const {
    return {data + (transposed ? column * stride + row : row * stride + column), stride, transposed};
  }
};

/// True where the last two axes can be handed to a product without a copy.
inline bool is_matrix(std::span<const Index> extents, std::span<const Index> strides) {
  const std::size_t last = extents.size() - 1;
  const Index rows = extents[last - 1], columns = extents[last], row = strides[last - 1],
              column = strides[last];
  return ((column == 1 || columns == 1) && (row >= columns || rows == 1)) ||
         ((row == 1 || rows == 1) && (column >= rows || columns == 1));
}

/// The matrices in the last two axes of an array.
template <class T>
class MatrixBatch {
 public:
  /// All axes but the last as the rows of one matrix without gaps.
  static MatrixBatch rows(T* data, Index columns) { return {{data, std::max<Index>(columns, 1)}, 0}; }

  MatrixBatch(T* data, std::span<const Index> extents, std::span<const Index> strides) {
    axes_ = extents.size() - 2;
    if (axes_ > most_axes) throw Error("matmul: more than 8 leading axes");
    const Index rows = extents[axes_], columns = extents[axes_ + 1];
    const Index row = strides[axes_], column = strides[axes_ + 1];
    if ((column == 1 || columns == 1) && (row >= columns || rows == 1))
      first_ = {data, std::max({row, columns, Index{1}}), false};
    else
      first_ = {data, std::max({column, rows, Index{1}}), true};
    std::copy_n(extents.begin(), axes_, extents_.begin());
    std::copy_n(strides.begin(), axes_, strides_.begin());
  }

  /// Matrix i of the batch.
  Matrix<T> operator()(Index i) const {
    Index offset = 0;
    for (std::size_t axis = axes_; axis-- > 0; i /= extents_[axis])
      offset += i % extents_[axis] * strides_[axis];
    return {first_.data + offset, first_.stride, first_.transposed};
  }

  /// Matrices of which the first is given, numbered by axes of given extents and strides.
  static MatrixBatch over(Matrix<T> first, std::span<const Index> extents, std::span<const Index> strides) {
    MatrixBatch result{first, extents.size()};
    std::copy(extents.begin(), extents.end(), result.extents_.begin());
    std::copy(strides.begin(), strides.end(), result.strides_.begin());
    return result;
  }

  Matrix<T> first() const { return first_; }
  /// Extents and strides of the axes that number the matrices.
  std::span<const Index> extents() const { return {extents_.data(), axes_}; }
  std::span<const Index> strides() const { return {strides_.data(), axes_}; }

  MatrixBatch transposed() const {
    MatrixBatch result = *this;
    result.first_ = first_.transpose();
    return result;
  }

 private:
  static constexpr std::size_t most_axes = 8;

  MatrixBatch(Matrix<T> first, std::size_t axes) : first_{first}, axes_{axes} {}

  Matrix<T> first_{};
  std::size_t axes_ = 0;
  std::array<Index, most_axes> extents_{}, strides_{};
};

}  // namespace burrow::detail
