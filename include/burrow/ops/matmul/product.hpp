// Products of matrices without the types of their operands' shapes: what is multiplied, where it lies, and
// where the gradients go. It is compiled once for the element types.
#pragma once

#include <burrow/autodiff/trace.hpp>
#include <burrow/ops/matmul/cpu.hpp>

namespace burrow::detail {

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
void multiply_matrices(Cpu, Index batch, Index m, Index n, Index k, const MatrixBatch<const A>& a,
                       const MatrixBatch<const B>& b, bool accumulate, const MatrixBatch<O>& c) {
  cpu::multiply_batch<T>(
      batch, m, n, k, 1,
      [&](Index i) {
        return std::tuple{a(i), b(i), c(i)};
      },
      accumulate);
}

/// c = a b + bias, a row for each row of one product of m x k and k x n, multiplied as T.
template <class T, class A, class B>
void multiply_with_bias(Cpu, Index m, Index n, Index k, Matrix<const A> a, Matrix<const B> b, const T* bias,
                        T* c) {
  cpu::multiply<T>(m, n, k, 1, a, b, cpu::Destination<T>{c, n, bias, 0});
}

/// The elements of an array of any strides, row by row without gaps.
template <class T>
void copy_strided(Cpu, std::span<const Index> extents, std::span<const Index> strides, const T* from, T* to) {
  Index size = 1;
  for (const Index extent : extents) size *= extent;
  parallel_for(size, elementwise_grain, [&](Index begin, Index end) {
    for (Index j = begin; j < end; ++j) to[j] = from[strided_offset(j, extents, strides)];
  });
}

/// An operand of a product without the type of its leaf, so that products are compiled once for an element
/// type: what lies where, and where its gradient goes.
template <class T, class D>
struct ProductOperand {
  static constexpr std::size_t most_axes = 10;

  [[gnu::noinline]] ProductOperand(const T* first, const Storage& held, std::span<const Index> of_shape,
                                   std::span<const Index> of_view)
      : data{first}, storage{held}, rank{of_shape.size()} {
    if (rank > most_axes) throw Error("matmul: more than 8 leading axes");
    std::copy(of_shape.begin(), of_shape.end(), extents_.begin());
    std::copy(of_view.begin(), of_view.end(), strides_.begin());
  }

  std::span<const Index> extents() const { return {extents_.data(), rank}; }
  std::span<const Index> strides() const { return {strides_.data(), rank}; }
  Index size() const {
    Index product = 1;
    for (const Index extent : extents()) product *= extent;
    return product;
  }
  bool wanted() const { return tape != nullptr && tape->wanted(slot); }

  /// Keeps the elements until the backward pass only where it needs them and the tape does not compute them
  /// again.
  void release(bool needed) {
    recomputed = needed && tape != nullptr && tape->recomputes(slot);
    if (!needed || recomputed) storage = {};
  }
  /// The first element, in the backward pass too.
  const T* elements() const { return recomputed ? tape->template recomputed<T>(slot) + offset : data; }

  const T* data;
  Storage storage;
  std::size_t rank;
  Tape* tape = nullptr;
  int slot = -1;
  Index offset = 0;
  bool recomputed = false;

 private:
  std::array<Index, most_axes> extents_{}, strides_{};
};

template <class Leaf>
auto product_operand(const Leaf& leaf) {
  const auto& view = leaf.view();
  ProductOperand<typename Leaf::element, device_of<Leaf>> result{view.data(), view.storage(),
                                                                 view.shape().values(), view.strides()};
  if constexpr (Leaf::traced) {
    result.tape = &leaf.tape();
    result.slot = leaf.slot();
    result.offset = leaf.offset();
  }
  return result;
}

/// The matrices of an operand where they lie, or those of a copy where its strides do not suit.
template <class T>
struct OperandMatrices {
  MatrixBatch<const T> matrices;
  Storage copy{};
};

/// `rows` says that the leading axes are rows of one matrix without gaps.
template <class T, class D>
[[gnu::noinline]] OperandMatrices<T> matrices_of(const ProductOperand<T, D>& x, bool rows) {
  using M = MatrixBatch<const T>;
  const auto extents = x.extents();
  const T* const elements = x.elements();
  if (rows) return {M::rows(elements, extents.back())};
  if (is_matrix(extents, x.strides())) return {M{elements, extents, x.strides()}};
  std::array<Index, ProductOperand<T, D>::most_axes> strides{};
  Index size = 1;
  for (std::size_t i = x.rank; i-- > 0; size *= extents[i]) strides[i] = size;
  const Buffer<D> buffer{size * Index{sizeof(T)}};
  auto* const dense = static_cast<T*>(buffer.data());
  copy_strided(D{}, extents, x.strides(), elements, dense);
  return {M{dense, extents, {strides.data(), x.rank}}, buffer};
}

/// Adds a b, `batch` products of m x k and k x n multiplied as T, to the gradient of a leaf of any strides.
template <class T, class D, class A, class B, class O>
void add_product(std::span<const Index> extents, std::span<const Index> strides, O* target, bool accumulate,
                 bool rows, Index batch, Index m, Index n, Index k, const MatrixBatch<const A>& a,
                 const MatrixBatch<const B>& b) {
  tell_product<A, B, O>(batch, m, n, k, accumulate);
  if (rows)
    return multiply_matrices<T>(D{}, batch, m, n, k, a, b, accumulate, MatrixBatch<O>::rows(target, n));
  // The products of a batch run in parallel, so matrices that are one in memory are summed afterwards.
  if (is_matrix(extents, strides) && !repeats_elements(extents, strides))
    return multiply_matrices<T>(D{}, batch, m, n, k, a, b, accumulate,
                                MatrixBatch<O>{target, extents, strides});
  const Buffer<D> buffer{batch * m * n * Index{sizeof(O)}};
  auto* const dense = static_cast<O*>(buffer.data());
  const Index dense_extents[] = {batch, m, n}, dense_strides[] = {m * n, n, 1};
  multiply_matrices<T>(D{}, batch, m, n, k, a, b, false, MatrixBatch<O>{dense, dense_extents, dense_strides});
  add_strided<O, O>(D{}, extents, strides, target, accumulate, dense);
}

/// A product of matrices of A and B, multiplied as T, and its gradients, for operands of any shapes.
template <class T, class A, class B, class D>
class Product {
 public:
  /// Throws ShapeError in the name of an operation where extents do not meet.
  [[gnu::noinline]] Product(ProductOperand<A, D>&& left, ProductOperand<B, D>&& right, const char* name,
                            Location where)
      : left_{std::move(left)}, right_{std::move(right)}, batched_{right_.rank > 2} {
    const auto a = left_.extents(), b = right_.extents();
    bool fits = a.back() == b[b.size() - 2];
    for (std::size_t i = 0; i + 2 < b.size(); ++i) fits = fits && a[i] == b[i];
    if (!fits) shapes_differ(name, "extents differ: ", a, " x ", b, where);
    for (std::size_t i = 0; i + 1 < a.size(); ++i) (batched_ && i + 2 < a.size() ? batch_ : m_) *= a[i];
    k_ = a.back();
    n_ = b.back();
  }

  std::span<const Index> left_extents() const { return left_.extents(); }
  std::span<const Index> right_extents() const { return right_.extents(); }
  Index columns() const { return n_; }
  /// Rows of all products together.
  Index rows_of_result() const { return batch_ * m_; }
  /// Bytes of the operands.
  double bytes() const {
    return static_cast<double>(left_.size()) * sizeof(A) + static_cast<double>(right_.size()) * sizeof(B);
  }
  bool wanted() const { return left_.wanted() || right_.wanted(); }
  /// From here on the product is there for its gradients.
  void release_operands() {
    left_.release(right_.wanted());
    right_.release(left_.wanted());
  }

  /// y = a b
  [[gnu::noinline]] void evaluate(T* y) const {
    const auto a = matrices_of(left_, rows());
    const auto b = matrices_of(right_, false);
    tell_product<A, B, T>(batch_, m_, n_, k_, false);
    multiply_matrices<T>(D{}, batch_, m_, n_, k_, a.matrices, b.matrices, false, result(y));
  }

  /// y = a b + bias, a row for each row of the product of two matrices
  [[gnu::noinline]] void evaluate(T* y, const T* bias) const {
    const auto a = matrices_of(left_, rows());
    const auto b = matrices_of(right_, false);
    tell_product<A, B, T>(1, m_, n_, k_, false);
    multiply_with_bias<T>(D{}, m_, n_, k_, a.matrices(0), b.matrices(0), bias, y);
  }

  /// before = a b + bias and after = gelu(before), of two matrices, on a device
  [[gnu::noinline]] void evaluate_gelu(T* before, T* after, const T* bias) const {
    const auto a = matrices_of(left_, rows());
    const auto b = matrices_of(right_, false);
    tell_product<A, B, T>(1, m_, n_, k_, false);
    multiply_with_gelu(D{}, m_, n_, k_, a.matrices(0), b.matrices(0), bias, before, after);
  }

  /// d = dy b^T times the derivative of gelu at `before`, where a is gelu(before), on a device
  [[gnu::noinline]] void gelu_gradient(const T* dy, const T* before, T* d) const {
    const auto b = matrices_of(right_, false);
    tell_product<T, B, T>(1, m_, k_, n_, false);
    multiply_gelu_gradient(D{}, m_, k_, n_, Matrix<const T>{dy, n_}, b.matrices.transposed()(0), before, d);
  }

  /// da += dy b^T, db += a^T dy
  [[gnu::noinline]] void add_gradients(const T* dy) const {
    const auto gradient = result(dy);
    if (left_.wanted())
      add_to(left_, rows(), m_, k_, n_, gradient, matrices_of(right_, false).matrices.transposed());
    if (right_.wanted())
      add_to(right_, false, k_, n_, m_, matrices_of(left_, rows()).matrices.transposed(), gradient);
  }

  /// The same on a device, and sums = those of the columns of dy, where the library makes them beside db;
  /// says whether it did.
  [[gnu::noinline]] bool add_gradients(const T* dy, B* sums) const {
    const bool one = batch_ == 1 && right_.wanted() && is_matrix(right_.extents(), right_.strides()) &&
                     !repeats_elements(right_.extents(), right_.strides());
    if (!one) {
      add_gradients(dy);
      return false;
    }
    const auto gradient = result(dy);
    if (left_.wanted())
      add_to(left_, rows(), m_, k_, n_, gradient, matrices_of(right_, false).matrices.transposed());
    const auto [target, accumulate] =
        right_.tape->template gradient_data<B>(right_.slot, right_.offset, right_.size());
    tell_product<A, T, B>(1, k_, n_, m_, accumulate);
    return multiply_with_column_sums<T>(D{}, k_, n_, m_, matrices_of(left_, rows()).matrices.transposed()(0),
                                        gradient(0), accumulate,
                                        MatrixBatch<B>{target, right_.extents(), right_.strides()}(0), sums);
  }

 private:
  /// Leading axes of the left operand are rows of one matrix.
  bool rows() const { return !batched_ && left_.rank > 2; }

  template <class U>
  MatrixBatch<U> result(U* y) const {
    const Index extents[] = {batch_, m_, n_}, strides[] = {m_ * n_, n_, 1};
    return {y, extents, strides};
  }

  /// Adds products of m x k and k x n to the gradient of an operand.
  template <class X, class L, class R>
  void add_to(const ProductOperand<X, D>& x, bool rows, Index m, Index n, Index k,
              const MatrixBatch<const L>& a, const MatrixBatch<const R>& b) const {
    const bool once = !repeats_elements(x.extents(), x.strides());
    const auto [target, accumulate] =
        x.tape->template gradient_data<X>(x.slot, x.offset, once ? x.size() : 0);
    add_product<T, D>(x.extents(), x.strides(), target, accumulate, rows, batch_, m, n, k, a, b);
  }

  ProductOperand<A, D> left_;
  ProductOperand<B, D> right_;
  bool batched_;
  Index batch_ = 1, m_ = 1, n_ = 1, k_ = 1;
};

/// A product in memory of the pool, as the tape keeps it.
template <class T, class A, class B, class D>
class ProductHandle {
  using Held = Product<T, A, B, D>;

 public:
  [[gnu::noinline]] ProductHandle(ProductOperand<A, D>&& left, ProductOperand<B, D>&& right, const char* name,
                                  Location where) {
    Held made{std::move(left), std::move(right), name, where};
    product_ = new (PoolAllocator<Held>{}.allocate(1)) Held{std::move(made)};
  }
  ProductHandle(ProductHandle&& other) noexcept : product_{std::exchange(other.product_, nullptr)} {}
  ProductHandle& operator=(ProductHandle&&) = delete;
  [[gnu::noinline]] ~ProductHandle() {
    if (product_ == nullptr) return;
    product_->~Product();
    PoolAllocator<Held>{}.deallocate(product_, 1);
  }

  const Held* operator->() const { return product_; }
  void release_operands() { product_->release_operands(); }
  void operator()(const auto& dy) const { product_->add_gradients(dy.data()); }

 private:
  Held* product_;
};
template <class T, class A, class B, class D>
ProductHandle<T, A, B, D> product(ProductOperand<A, D>&& left, ProductOperand<B, D>&& right, const char* name,
                                  Location where) {
  return {std::move(left), std::move(right), name, where};
}

}  // namespace burrow::detail
