// Matrix products on the CPU. One thread's product is oneDNN's where burrow::onednn is linked, Eigen's
// otherwise; this file cuts a product into panels for the threads.
#pragma once

#include <Eigen/Core>
#include <cmath>

#include <burrow/core/memory.hpp>
#include <burrow/core/parallel.hpp>

#ifdef BURROW_WITH_ONEDNN
#include <oneapi/dnnl/dnnl.h>
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int);
}
#endif

namespace burrow::cpu {

/// The library that multiplies float matrices in this build.
constexpr const char* matmul_backend() {
#ifdef BURROW_WITH_ONEDNN
  return "oneDNN";
#else
  return "Eigen";
#endif
}

/// A row-major matrix in memory, or the transpose of one: element (i, j) is data[i * stride + j], transposed
/// data[j * stride + i].
template <class T>
struct Matrix {
  T* data;
  Index stride;
  bool transposed = false;

  Matrix transpose() const { return {data, stride, !transposed}; }
  Matrix block(Index row, Index column) const {
    return {data + (transposed ? column * stride + row : row * stride + column), stride, transposed};
  }
};

namespace detail {

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using ConstMap = Eigen::Map<const RowMajor<T>, 0, Eigen::OuterStride<>>;

template <class T, class A, class B, class C>
void eigen_product(const A& a, const B& b, C& c, T alpha, bool accumulate) {
  if (!accumulate) c.setZero();
  c.noalias() += alpha * (a * b);
}

/// c (+)= alpha a b on the calling thread; c is not transposed.
template <class T>
void product(Index m, Index n, Index k, T alpha, Matrix<const T> a, Matrix<const T> b, bool accumulate,
             Matrix<T> c) {
#ifdef BURROW_WITH_ONEDNN
  if constexpr (std::same_as<T, float>) {
    const int before = omp_get_max_threads();  // oneDNN's own threads stay asleep: the threads are ours
    omp_set_num_threads(1);
    const auto status = dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, alpha, a.data,
                                   a.stride, b.data, b.stride, accumulate ? 1.0f : 0.0f, c.data, c.stride);
    omp_set_num_threads(before);
    if (status != dnnl_success)
      throw Error("matmul: oneDNN refused a product of " + std::to_string(m) + " x " + std::to_string(k) +
                  " x " + std::to_string(n));
    return;
  }
#endif
  const auto map = [](Matrix<const T> x, Index rows, Index columns) {
    return ConstMap<T>(x.data, x.transposed ? columns : rows, x.transposed ? rows : columns,
                       Eigen::OuterStride<>(x.stride));
  };
  Eigen::Map<RowMajor<T>, 0, Eigen::OuterStride<>> to(c.data, m, n, Eigen::OuterStride<>(c.stride));
  const auto left = map(a, m, k);
  const auto right = map(b, k, n);
  if (!a.transposed && !b.transposed)
    eigen_product<T>(left, right, to, alpha, accumulate);
  else if (!a.transposed)
    eigen_product<T>(left, right.transpose(), to, alpha, accumulate);
  else if (!b.transposed)
    eigen_product<T>(left.transpose(), right, to, alpha, accumulate);
  else
    eigen_product<T>(left.transpose(), right.transpose(), to, alpha, accumulate);
}

/// bf16 elements of a matrix of `rows` x `columns` as float, without gaps.
inline Buffer<Cpu> widened(Matrix<const bf16> x, Index rows, Index columns) {
  Buffer<Cpu> buffer{std::max<Index>(rows * columns, 1) * Index{sizeof(float)}};
  auto* const to = static_cast<float*>(buffer.data());
  const Index lines = x.transposed ? columns : rows, length = x.transposed ? rows : columns;
  parallel_for(lines, std::max<Index>(1, 8192 / std::max<Index>(length, 1)), [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      for (Index j = 0; j < length; ++j) to[i * length + j] = x.data[i * x.stride + j];
  });
  return buffer;
}

}  // namespace detail

/// c (+)= alpha a b for a of m x k and b of k x n, on the calling thread; sums in fp32 for bf16.
template <class T>
void multiply_on_thread(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const T> a,
                        Matrix<const T> b, bool accumulate, Matrix<T> c) {
  if (m == 0 || n == 0) return;
  if (c.transposed)
    return multiply_on_thread<T>(n, m, k, alpha, b.transpose(), a.transpose(), accumulate, c.transpose());
  if (k == 0) {
    for (Index i = 0; i < (accumulate ? 0 : m); ++i) std::fill_n(c.data + i * c.stride, n, T(0));
    return;
  }
  if constexpr (std::same_as<T, bf16>) {
    const auto wide_a = detail::widened(a, m, k), wide_b = detail::widened(b, k, n);
    const Buffer<Cpu> wide_c{m * n * Index{sizeof(float)}};
    auto* const sums = static_cast<float*>(wide_c.data());
    multiply_on_thread<float>(
        m, n, k, alpha, {static_cast<const float*>(wide_a.data()), a.transposed ? m : k, a.transposed},
        {static_cast<const float*>(wide_b.data()), b.transposed ? k : n, b.transposed}, false, {sums, n});
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n; ++j) {
        bf16& to = c.data[i * c.stride + j];
        to = accumulate ? static_cast<float>(to) + sums[i * n + j] : sums[i * n + j];
      }
  } else {
    detail::product<T>(m, n, k, alpha, a, b, accumulate, c);
  }
}

/// c (+)= alpha a b on all threads.
template <class T>
void multiply(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const T> a, Matrix<const T> b,
              bool accumulate, Matrix<T> c) {
  if (c.transposed)
    return multiply<T>(n, m, k, alpha, b.transpose(), a.transpose(), accumulate, c.transpose());
  constexpr Index smallest = Index{1} << 18;  // multiply-adds worth a thread
  const Index pieces = std::clamp<Index>(m * n * k / smallest, 1, threads());
  // Panels of about the same area, cut along the longer side first.
  Index along_rows = 1;
  for (Index r = 1; r <= pieces; ++r)
    if (pieces % r == 0 && r * n <= (pieces / r) * m * 2) along_rows = r;
  const Index along_columns = pieces / along_rows;
  constexpr Index step = 16;
  const auto cut = [](Index length, Index piece, Index count) {
    return piece == count ? length : std::min(length, (length * piece / count + step - 1) / step * step);
  };
  parallel_tasks(pieces, [&](Index piece) {
    const Index row = piece / along_columns, column = piece % along_columns;
    const Index i = cut(m, row, along_rows), j = cut(n, column, along_columns);
    multiply_on_thread<T>(cut(m, row + 1, along_rows) - i, cut(n, column + 1, along_columns) - j, k, alpha,
                          a.block(i, 0), b.block(0, j), accumulate, c.block(i, j));
  });
}

/// `batch` products at once; products are shared among the threads when there are enough of them.
template <class T, class Operand>
void multiply_batch(Index batch, Index m, Index n, Index k, compute_type<T> alpha, const Operand& operands,
                    bool accumulate) {
  if (batch >= threads()) {
    parallel_tasks(batch, [&](Index i) {
      const auto [a, b, c] = operands(i);
      multiply_on_thread<T>(m, n, k, alpha, a, b, accumulate, c);
    });
  } else {
    for (Index i = 0; i < batch; ++i) {
      const auto [a, b, c] = operands(i);
      multiply<T>(m, n, k, alpha, a, b, accumulate, c);
    }
  }
}

}  // namespace burrow::cpu
