// Matrix products on a CUDA device, by cuBLASLt. Its matrices are column-major, so it computes the transposed
// product of transposed matrices, which are the same memory.
#pragma once

#include <numeric>

#include <burrow/ops/matmul/cublas.cuh>
#include <burrow/ops/matmul/product.hpp>
#include <burrow/ops/strided.cuh>

namespace burrow::detail {

/// c = a b + addend, one element to a thread, for what cuBLASLt does not multiply. The addend is c itself to
/// accumulate, a row of stride 0 for a bias, or null.
template <class C, class A, class B, class O>
__global__ void product_kernel(Index m, Index n, Index k, Matrix<const A> a, Matrix<const B> b, Matrix<O> c,
                               const O* addend, Index addend_stride) {
  const Index step = Index{gridDim.x} * blockDim.x;
  for (Index e = Index{blockIdx.x} * blockDim.x + threadIdx.x; e < m * n; e += step) {
    const Index i = e / n, j = e % n;
    C sum(0);
    for (Index l = 0; l < k; ++l)
      sum += static_cast<C>(*a.block(i, l).data) * static_cast<C>(*b.block(l, j).data);
    const Index at = c.transposed ? j * addend_stride + i : i * addend_stride + j;
    if (addend != nullptr) sum += static_cast<C>(addend[at]);
    *c.block(i, j).data = static_cast<O>(sum);
  }
}

template <class T, class A, class B, class O>
void multiply_in_threads(Index m, Index n, Index k, Matrix<const A> a, Matrix<const B> b, Matrix<O> c,
                         const O* addend, Index addend_stride) {
  cuda::launch("matmul", product_kernel<compute_type<T>, A, B, O>,
               cuda::striding_grid(m * n, cuda::Context::instance().multiprocessors()), m, n, k, a, b, c,
               addend, addend_stride);
}

/// How many matrices from any multiple of it on are one stride apart.
template <class T>
Index run_of(const MatrixBatch<T>& x) {
  const auto extents = x.extents(), strides = x.strides();
  Index run = 1, step = 0;
  for (std::size_t axis = extents.size(); axis-- > 0;) {
    if (extents[axis] == 1) continue;
    if (run > 1 && strides[axis] != step * run) return run;
    if (run == 1) step = strides[axis];
    run *= extents[axis];
  }
  return run;
}
/// That stride.
template <class T>
Index stride_of(const MatrixBatch<T>& x) {
  return x(1).data - x(0).data;
}

/// The matrices of rows x columns as T: where they lie, or converted in `room`.
template <class T, class A>
MatrixBatch<const T> matrices_as(const MatrixBatch<const A>& x, Index rows, Index columns,
                                 Buffer<Cuda>& room) {
  if constexpr (std::same_as<T, A>) {
    return x;
  } else {
    const Matrix<const A> first = x.first();
    if (first.transposed) std::swap(rows, columns);
    std::array<Index, StridedOrder::most_axes> extents{}, strides{}, dense{};
    const std::size_t axes = x.extents().size(), rank = axes + 2;
    std::copy_n(x.extents().begin(), axes, extents.begin());
    std::copy_n(x.strides().begin(), axes, strides.begin());
    extents[axes] = rows, extents[axes + 1] = columns;
    strides[axes] = first.stride, strides[axes + 1] = 1;
    Index size = 1;
    for (std::size_t i = rank; i-- > 0; size *= extents[i]) dense[i] = size;
    room = Buffer<Cuda>{size * Index{sizeof(T)}};
    auto* const to = static_cast<T*>(room.data());
    copy_elements("matmul", StridedOrder{{extents.data(), rank}, {strides.data(), rank}}, first.data, to);
    return MatrixBatch<const T>::over({to, std::max<Index>(columns, 1), first.transposed}, x.extents(),
                                      {dense.data(), axes});
  }
}

/// c (+)= a b for each of `batch` products of m x k and k x n, multiplied as T: operands that are wider are
/// rounded to it. A bias, where there is one, is a row that is added to each row of the only product.
template <class T, class A, class B, class O>
void multiply_batch(Index batch, Index m, Index n, Index k, const MatrixBatch<const A>& a,
                    const MatrixBatch<const B>& b, bool accumulate, const MatrixBatch<O>& c, const O* bias) {
  if (batch == 0 || m == 0 || n == 0) return;
  constexpr bool by_library = cuda::Multipliable<T>;
  constexpr bool adds_bias = by_library && !std::same_as<T, double>;
  if (bias != nullptr && (!adds_bias || k == 0))
    return multiply_in_threads<T>(m, n, k, a(0), b(0), c(0), bias, 0);
  if (!by_library || k == 0) {
    for (Index i = 0; i < batch; ++i)
      multiply_in_threads<T>(m, n, k, a(i), b(i), c(i), accumulate ? c(i).data : nullptr, c(i).stride);
    return;
  }
  if constexpr (by_library) {
    if (c.first().transposed)
      return multiply_batch<T>(batch, n, m, k, b.transposed(), a.transposed(), accumulate, c.transposed(),
                               bias);
    Buffer<Cuda> left_room, right_room;
    const auto left = matrices_as<T>(a, m, k, left_room);
    const auto right = matrices_as<T>(b, k, n, right_room);
    const Index run = std::gcd(std::gcd(run_of(left), run_of(right)), run_of(c));
    const auto operand = [](const auto& x, Index i, Index count) {
      return cuda::ProductMatrix{x(i).data, x(i).stride, count == 1 ? Index{0} : stride_of(x),
                                 x(i).transposed};
    };
    for (Index i = 0; i < batch; i += run) {
      const Index count = std::min(run, batch - i);
      cuda::multiply<T, O>(count, m, n, k, operand(left, i, count), operand(right, i, count), accumulate,
                           operand(c, i, count), cuda::Epilogue::with_bias(bias));
    }
  }
}

template <class T, class A, class B, class O>
void multiply_matrices(Cuda, Index batch, Index m, Index n, Index k, const MatrixBatch<const A>& a,
                       const MatrixBatch<const B>& b, bool accumulate, const MatrixBatch<O>& c) {
  multiply_batch<T>(batch, m, n, k, a, b, accumulate, c, static_cast<const O*>(nullptr));
}

template <class T, class A, class B>
void multiply_with_bias(Cuda, Index m, Index n, Index k, Matrix<const A> a, Matrix<const B> b, const T* bias,
                        T* c) {
  multiply_batch<T>(1, m, n, k, MatrixBatch<const A>::over(a, {}, {}), MatrixBatch<const B>::over(b, {}, {}),
                    false, MatrixBatch<T>::rows(c, n), bias);
}

/// c (+)= a b of m x k and k x n, multiplied as T, with an epilogue that the library may lack: then, and
/// where there is nothing to multiply, false, and nothing is done. c is not transposed.
template <class T, class A, class B, class O>
bool multiply_with_epilogue(Index m, Index n, Index k, Matrix<const A> a, Matrix<const B> b, bool accumulate,
                            Matrix<O> c, const cuda::Epilogue& epilogue) {
  if constexpr (!cuda::Multipliable<T> || std::same_as<T, double>) {
    return false;
  } else {
    if (m == 0 || n == 0 || k == 0) return false;
    Buffer<Cuda> left_room, right_room;
    const auto left = matrices_as<T>(MatrixBatch<const A>::over(a, {}, {}), m, k, left_room)(0);
    const auto right = matrices_as<T>(MatrixBatch<const B>::over(b, {}, {}), k, n, right_room)(0);
    return cuda::multiply<T, O>(1, m, n, k, {left.data, left.stride, 0, left.transposed},
                                {right.data, right.stride, 0, right.transposed}, accumulate,
                                {c.data, c.stride}, epilogue);
  }
}

/// c (+)= a b for one product, multiplied as T, and sums = those of the columns of b, of c's type, in the
/// same pass. False where the library does not have that: then the product alone is made.
template <class T, class A, class B, class O>
bool multiply_with_column_sums(Cuda, Index m, Index n, Index k, Matrix<const A> a, Matrix<const B> b,
                               bool accumulate, Matrix<O> c, O* sums) {
  const bool made =
      c.transposed
          ? multiply_with_epilogue<T>(n, m, k, b.transpose(), a.transpose(), accumulate, c.transpose(),
                                      cuda::Epilogue::with_row_sums(sums))
          : multiply_with_epilogue<T>(m, n, k, a, b, accumulate, c, cuda::Epilogue::with_column_sums(sums));
  if (!made)
    multiply_batch<T>(1, m, n, k, MatrixBatch<const A>::over(a, {}, {}),
                      MatrixBatch<const B>::over(b, {}, {}), accumulate, MatrixBatch<O>::over(c, {}, {}),
                      static_cast<const O*>(nullptr));
  return made;
}

template <class T>
void copy_strided(Cuda, std::span<const Index> extents, std::span<const Index> strides, const T* from,
                  T* to) {
  copy_elements("a strided copy", StridedOrder{extents, strides}, from, to);
}

}  // namespace burrow::detail

#include <burrow/ops/matmul/gelu.cuh>
