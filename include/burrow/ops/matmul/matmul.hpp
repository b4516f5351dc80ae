// matmul: the product of matrices in the last two axes. Transposed operands are read where they lie.
#pragma once

#include <burrow/autodiff/trace.hpp>
#include <burrow/ops/matmul/cpu.hpp>
#include <burrow/tensor/indexing.hpp>

namespace burrow {

namespace detail {

template <class A, class B>
concept MatmulRanks = A::rank >= 2 && (B::rank == 2 || B::rank == A::rank);

template <class A, class B>
constexpr bool matmul_extents_fit() {
  if constexpr (MatmulRanks<A, B>) {
    const auto meet = [](Index x, Index y) { return x == y || x == dyn || y == dyn; };
    if (!meet(A::extents.back(), B::extents[B::extents.size() - 2])) return false;
    if (B::rank > 2)
      for (std::size_t i = 0; i + 2 < B::extents.size(); ++i)
        if (!meet(A::extents[i], B::extents[i])) return false;
    return true;
  }
  return false;
}

template <class A, class B>
struct matmul_shape {
  static constexpr auto extents = [] {
    auto result = A::extents;
    result.back() = B::extents.back();
    return result;
  }();
};

/// Where matrix `i` of the last two axes starts.
template <class S>
Index matrix_offset(const S& shape, const std::array<Index, S::extents.size()>& strides, Index i) {
  Index offset = 0;
  for (std::size_t axis = S::extents.size() - 2; axis-- > 0; i /= shape.values()[axis])
    offset += i % shape.values()[axis] * strides[axis];
  return offset;
}

/// True where the last two axes can be handed to a product without a copy.
template <class S>
bool is_matrix(const S& shape, const std::array<Index, S::extents.size()>& strides) {
  const Index rows = shape[-2], columns = shape[-1];
  const auto row = strides[strides.size() - 2], column = strides.back();
  return ((column == 1 || columns == 1) && (row >= columns || rows == 1)) ||
         ((row == 1 || rows == 1) && (column >= rows || columns == 1));
}

template <class T, class S>
cpu::Matrix<T> as_matrix(T* data, const S& shape, const std::array<Index, S::extents.size()>& strides) {
  const Index rows = shape[-2], columns = shape[-1];
  const auto row = strides[strides.size() - 2], column = strides.back();
  if ((column == 1 || columns == 1) && (row >= columns || rows == 1))
    return {data, std::max({row, columns, Index{1}}), false};
  return {data, std::max({column, rows, Index{1}}), true};
}

/// A leaf whose last two axes are a matrix, and whose other axes (where the other operand has two) are rows
/// of it.
template <bool Rows, class TapeLike, class E>
auto matrix_operand(TapeLike tape, const E& e) {
  const auto leaf = operand(tape, e);
  if constexpr (decltype(leaf)::contiguous)
    return leaf;
  else if constexpr (Rows && shape_of<E>::rank > 2)
    return dense_operand(tape, leaf);
  else
    return leaf;
}

/// Calls f with a product-ready view of a leaf: the leaf itself, or a copy where its strides do not suit.
template <class Leaf, class F>
auto with_matrix(const Leaf& leaf, const F& f) {
  const auto& view = leaf.view();
  if (is_matrix(view.shape(), view.strides())) return f(view.data(), view.strides());
  const auto copy = materialize(view);
  return f(std::as_const(copy).data(), copy.leaf().strides());
}

/// target (+)= x y, products of m x k and k x n, where the target is a gradient of a leaf of any strides;
/// Rows says that its leading axes are rows of one matrix.
template <bool Rows, class T, class S, class X, class Y>
void multiply_into(const S& shape, const GradientTarget<T, S::extents.size()>& target, Index batch, Index m,
                   Index n, Index k, const X& x, const Y& y) {
  const auto run = [&](T* data, const auto& strides, bool accumulate) {
    const auto matrix =
        Rows ? cpu::Matrix<T>{data, std::max<Index>(n, 1), false} : as_matrix(data, shape, strides);
    cpu::multiply_batch<T>(
        batch, m, n, k, 1,
        [&](Index i) {
          const Index offset = Rows ? 0 : matrix_offset(shape, strides, i);
          return std::tuple{x(i), y(i),
                            cpu::Matrix<T>{matrix.data + offset, matrix.stride, matrix.transposed}};
        },
        accumulate);
  };
  // The products of a batch run in parallel, so matrices that are one in memory are summed afterwards.
  if (is_matrix(shape, target.strides) && !repeats_elements(shape.values(), target.strides))
    return run(target.data, target.strides, target.accumulate);
  Tensor<T, S> dense{shape};
  run(dense.data(), dense.leaf().strides(), false);
  add_strided(shape, target, std::as_const(dense).data());
}

}  // namespace detail

/// Operands whose inner extents meet: [..., m, k] and [k, n], or [..., m, k] and [..., k, n].
template <class A, class B>
concept Multipliable = Expression<A> && Expression<B> && std::same_as<device_of<A>, device_of<B>> &&
    detail::matmul_extents_fit<shape_of<A>, shape_of<B>>();

/// Matrix product over the last axis of a and the last but one of b: [..., m, k] x [k, n] or [..., m, k] x
/// [..., k, n]. Sums in fp32 for bf16. Transposed views are not copied. Throws ShapeError where run-time
/// extents do not meet. Gradients: da = dy b^T, db = a^T dy.
template <class A, class B>
requires Multipliable<A, B>
auto matmul(const A& a, const B& b, Location where = Location::here()) {
  using T = promoted<element_of<A>, element_of<B>>;
  using Result = ShapeOf<detail::matmul_shape<shape_of<A>, shape_of<B>>>;
  constexpr bool batched = shape_of<B>::rank > 2;
  constexpr std::size_t rank_a = shape_of<A>::extents.size(), rank_b = shape_of<B>::extents.size();
  const auto tape = tape_of(a, b);
  const auto left = detail::matrix_operand<!batched>(tape, cast<T>(a));
  const auto right = detail::matrix_operand<false>(tape, cast<T>(b));
  auto extents = left.shape().values();
  bool fits = extents.back() == right.shape()[-2];
  if constexpr (batched)
    for (std::size_t i = 0; i + 2 < rank_b; ++i) fits = fits && extents[i] == right.shape().values()[i];
  if (!fits)
    throw ShapeError("matmul: extents differ: " + left.shape().text() + " x " + right.shape().text() +
                     at(where));
  Index batch = 1, m = 1;
  for (std::size_t i = 0; i + 1 < rank_a; ++i) (batched && i + 2 < rank_a ? batch : m) *= extents[i];
  const Index k = extents.back(), n = right.shape()[-1];
  extents.back() = n;
  static_assert(!batched || rank_a == rank_b);

  // A factor is matrix i of a batch, or all leading axes as rows.
  const auto factor = []<class S>(const T* data, const S& shape, const auto& strides) {
    constexpr bool rows = S::rank > 2 && !batched;
    const auto matrix = rows ? cpu::Matrix<const T>{data, std::max<Index>(shape[-1], 1), false}
                             : detail::as_matrix(data, shape, strides);
    return [matrix, shape, strides](Index i) {
      const Index offset = S::rank > 2 && batched ? detail::matrix_offset(shape, strides, i) : 0;
      return cpu::Matrix<const T>{matrix.data + offset, matrix.stride, matrix.transposed};
    };
  };

  Tensor<T, Result, device_of<A>> y{Result{extents}};
  T* const out = y.data();
  detail::with_matrix(left, [&](const T* data_a, const auto& strides_a) {
    detail::with_matrix(right, [&](const T* data_b, const auto& strides_b) {
      const auto x = factor(data_a, left.shape(), strides_a);
      const auto w = factor(data_b, right.shape(), strides_b);
      cpu::multiply_batch<T>(
          batch, m, n, k, 1,
          [&](Index i) {
            return std::tuple{x(i), w(i), cpu::Matrix<T>{out + i * m * n, n}};
          },
          false);
    });
  });

  if constexpr (!decltype(tape)::tracing)
    return record(tape, "matmul", y, [](const auto&) {});
  else
    return record(
        tape, "matmul", y,
        [left, right, factor, batch, m, n, k](const auto& dy) {
          const auto gradient = [&, data = dy.data()](Index i) {
            return cpu::Matrix<const T>{data + i * m * n, n};
          };
          if constexpr (Traced<decltype(left)>)
            if (left.wanted())
              detail::with_matrix(right, [&](const T* data, const auto& strides) {
                const auto w = factor(data, right.shape(), strides);
                constexpr bool rows = rank_a > 2 && !batched;
                detail::multiply_into<rows>(left.shape(), left.gradient_target(), batch, m, k, n, gradient,
                                            [&](Index i) { return w(i).transpose(); });
              });
          if constexpr (Traced<decltype(right)>)
            if (right.wanted())
              detail::with_matrix(left, [&](const T* data, const auto& strides) {
                const auto x = factor(data, left.shape(), strides);
                detail::multiply_into<false>(
                    right.shape(), right.gradient_target(), batch, k, n, m,
                    [&](Index i) { return x(i).transpose(); }, gradient);
              });
        },
        left, right);
}

// What matmul refuses.
namespace operation {
struct matmul;
}
namespace detail {
template <class A, class B>
using MatmulMisuse =
    std::conditional_t<std::same_as<device_of<A>, device_of<B>>,
                       misuse::shapes_do_not_fit<operation::matmul, shape_of<A>, shape_of<B>>,
                       misuse::devices_differ<operation::matmul, device_of<A>, device_of<B>>>;
}
template <Expression A, Expression B>
requires(!Multipliable<A, B>) auto matmul(const A&, const B&) -> detail::MatmulMisuse<A, B>;

}  // namespace burrow
