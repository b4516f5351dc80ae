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
  cpu::Matrix<T> operator()(Index i) const {
    Index offset = 0;
    for (std::size_t axis = axes_; axis-- > 0; i /= extents_[axis])
      offset += i % extents_[axis] * strides_[axis];
    return {first_.data + offset, first_.stride, first_.transposed};
  }

  MatrixBatch transposed() const {
    MatrixBatch result = *this;
    result.first_ = first_.transpose();
    return result;
  }

 private:
  static constexpr std::size_t most_axes = 8;

  MatrixBatch(cpu::Matrix<T> first, std::size_t axes) : first_{first}, axes_{axes} {}

  cpu::Matrix<T> first_{};
  std::size_t axes_ = 0;
  std::array<Index, most_axes> extents_{}, strides_{};
};

/// Tells observers of `batch` products of A and B to O.
template <class A, class B, class O>
void tell_product(Index batch, Index m, Index n, Index k, bool accumulate) {
  if (!observed()) return;
  const double bytes = static_cast<double>(m * k) * sizeof(A) + static_cast<double>(k * n) * sizeof(B) +
                       static_cast<double>(m * n) * sizeof(O) * (accumulate ? 2 : 1);
  tell_work({2.0 * static_cast<double>(batch * m * n) * static_cast<double>(k),
             static_cast<double>(batch) * bytes});
}

/// c (+)= a b for each of `batch` products of m x k and k x n, multiplied as T.
template <class T, class A, class B, class O>
void multiply_matrices(Index batch, Index m, Index n, Index k, const MatrixBatch<const A>& a,
                       const MatrixBatch<const B>& b, bool accumulate, const MatrixBatch<O>& c) {
  tell_product<A, B, O>(batch, m, n, k, accumulate);
  cpu::multiply_batch<T>(
      batch, m, n, k, 1,
      [&](Index i) {
        return std::tuple{a(i), b(i), c(i)};
      },
      accumulate);
}

/// An operand's matrices where they lie, or those of a copy where its strides do not suit.
template <class T>
struct MatrixOperand {
  MatrixBatch<const T> matrices;
  Storage copy{};
};

/// The matrices of a leaf; Rows says that its leading axes are rows of one matrix.
template <bool Rows, class Leaf>
MatrixOperand<typename Leaf::element> matrices_of(const Leaf& leaf) {
  using M = MatrixBatch<const typename Leaf::element>;
  const auto& view = leaf.view();
  if constexpr (Rows && Leaf::shape_type::rank > 2) {
    return {M::rows(view.data(), view.shape()[-1])};
  } else if constexpr (Leaf::contiguous) {
    return {M{view.data(), view.shape().values(), view.strides()}};
  } else {
    if (is_matrix(view.shape().values(), view.strides()))
      return {M{view.data(), view.shape().values(), view.strides()}};
    const auto dense = materialize(view).leaf();
    return {M{dense.data(), dense.shape().values(), dense.strides()}, dense.storage()};
  }
}

/// An operand of a product of T without the rounding to it, which the product does as it reads: a parameter
/// kept in fp32 needs no copy, and its gradient is not rounded.
template <class T, class E>
auto unrounded(const E& e) {
  const auto node = to_node(cast<T>(e));
  const auto& inner = without_cast<T>(node);
  if constexpr (Narrow<T> && std::decay_t<decltype(inner)>::is_leaf &&
                std::same_as<element_of<std::decay_t<decltype(inner)>>, float>)
    return inner;
  else
    return node;
}

/// An operand of a product as a leaf; where its leading axes are rows of one matrix, as a leaf without gaps.
template <bool Rows, class TapeLike, class E>
auto matrix_leaf(TapeLike tape, const E& e) {
  const auto leaf = operand(tape, e);
  if constexpr (Rows && shape_of<E>::rank > 2 && !decltype(leaf)::contiguous)
    return dense_operand(tape, leaf);
  else
    return leaf;
}

/// Adds a b, `batch` products of m x k and k x n multiplied as T, to the gradient of a leaf of any strides.
template <class T, class A, class B, class O>
void add_product(std::span<const Index> extents, std::span<const Index> strides, O* target, bool accumulate,
                 bool rows, Index batch, Index m, Index n, Index k, const MatrixBatch<const A>& a,
                 const MatrixBatch<const B>& b) {
  if (rows) return multiply_matrices<T>(batch, m, n, k, a, b, accumulate, MatrixBatch<O>::rows(target, n));
  // The products of a batch run in parallel, so matrices that are one in memory are summed afterwards.
  if (is_matrix(extents, strides) && !repeats_elements(extents, strides))
    return multiply_matrices<T>(batch, m, n, k, a, b, accumulate, MatrixBatch<O>{target, extents, strides});
  const Buffer<Cpu> buffer{batch * m * n * Index{sizeof(O)}};
  auto* const dense = static_cast<O*>(buffer.data());
  const Index dense_extents[] = {batch, m, n}, dense_strides[] = {m * n, n, 1};
  multiply_matrices<T>(batch, m, n, k, a, b, false, MatrixBatch<O>{dense, dense_extents, dense_strides});
  add_strided<O, O>(extents, strides, target, accumulate, dense);
}

/// Adds a b to the gradient of a leaf, where anybody asks for it.
template <class T, bool Rows, class Leaf, class A, class B>
void add_product(const Leaf& leaf, Index batch, Index m, Index n, Index k, const MatrixBatch<const A>& a,
                 const MatrixBatch<const B>& b) {
  const auto target = leaf.gradient_target();
  add_product<T>(leaf.shape().values(), target.strides, target.data, target.accumulate,
                 Rows && Leaf::shape_type::rank > 2, batch, m, n, k, a, b);
}

/// The reverse sweep of a product: da = dy b^T, db = a^T dy, where anybody asks for them.
template <class T, bool Batched, class Left, class Right>
void add_product_gradients(const Left& left, const Right& right, Index batch, Index m, Index n, Index k,
                           const T* dy) {
  const Index extents[] = {batch, m, n}, strides[] = {m * n, n, 1};
  const MatrixBatch<const T> gradient{dy, extents, strides};
  if constexpr (Traced<Left>)
    if (left.wanted())
      add_product<T, !Batched>(left, batch, m, k, n, gradient,
                               matrices_of<false>(right).matrices.transposed());
  if constexpr (Traced<Right>)
    if (right.wanted())
      add_product<T, false>(right, batch, k, n, m, matrices_of<!Batched>(left).matrices.transposed(),
                            gradient);
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
  const auto left = detail::matrix_leaf<!batched>(tape, detail::unrounded<T>(a));
  const auto right = detail::matrix_leaf<false>(tape, detail::unrounded<T>(b));
  auto extents = left.shape().values();
  bool fits = extents.back() == right.shape()[-2];
  if constexpr (batched)
    for (std::size_t i = 0; i + 2 < rank_b; ++i) fits = fits && extents[i] == right.shape().values()[i];
  if (!fits)
    detail::shapes_differ("matmul", "extents differ: ", left.shape().values(), " x ", right.shape().values(),
                          where);
  Index batch = 1, m = 1;
  for (std::size_t i = 0; i + 1 < rank_a; ++i) (batched && i + 2 < rank_a ? batch : m) *= extents[i];
  const Index k = extents.back(), n = right.shape()[-1];
  extents.back() = n;
  Tensor<T, Result, device_of<A>> y{Result{extents}};
  const Index y_extents[] = {batch, m, n}, y_strides[] = {m * n, n, 1};
  {
    const auto x = detail::matrices_of<!batched>(left);
    const auto w = detail::matrices_of<false>(right);
    detail::multiply_matrices<T>(batch, m, n, k, x.matrices, w.matrices, false,
                                 detail::MatrixBatch<T>{y.data(), y_extents, y_strides});
  }
  if constexpr (!decltype(tape)::tracing)
    return record(tape, "matmul", y, [](const auto&) {});
  else
    return record(
        tape, "matmul", y,
        [left, right, batch, m, n, k](const auto& dy) {
          detail::add_product_gradients<T, batched>(left, right, batch, m, n, k, dy.data());
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
