// Matrix products on the CPU. One thread's product is oneDNN's where burrow::onednn is linked, burrow's own
// (kernel.hpp) otherwise; this file chooses, and cuts a product into panels for the threads.
#pragma once

#include <burrow/core/parallel.hpp>
#include <burrow/ops/matmul/kernel.hpp>

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
  return "burrow";
#endif
}

namespace detail {

/// Scratch memory for arrays of C, from the pool.
template <class C>
class Scratch {
 public:
  explicit Scratch(Index count) : buffer_{std::max<Index>(count, 1) * Index{sizeof(C)}} {}
  C* data() const { return static_cast<C*>(buffer_.data()); }

 private:
  Buffer<Cpu> buffer_;
};

#ifdef BURROW_WITH_ONEDNN
/// c (+)= alpha a b by oneDNN on the calling thread.
inline void onednn_product(Index m, Index n, Index k, float alpha, Matrix<const float> a,
                           Matrix<const float> b, bool accumulate, Matrix<float> c) {
  const int before = omp_get_max_threads();  // oneDNN's own threads stay asleep: the threads are ours
  omp_set_num_threads(1);
  const auto status = dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, alpha, a.data,
                                 a.stride, b.data, b.stride, accumulate ? 1.0f : 0.0f, c.data, c.stride);
  omp_set_num_threads(before);
  if (status != dnnl_success)
    throw Error("matmul: oneDNN refused a product of " + std::to_string(m) + " x " + std::to_string(k) +
                " x " + std::to_string(n));
}
#endif

/// c (+)= alpha a b for half and bf16: operands are widened as they are packed, sums are in fp32.
template <Narrow T>
void narrow_product(Index m, Index n, Index k, float alpha, Matrix<const T> a, Matrix<const T> b,
                    bool accumulate, Matrix<T> c) {
  const Buffer<Cpu> wide{m * n * Index{sizeof(float)}};
  auto* const sums = static_cast<float*>(wide.data());
  multiply_packed<float>(m, n, k, alpha, a, b, false, sums, n);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      T& to = c.data[i * c.stride + j];
      to = accumulate ? static_cast<float>(to) + sums[i * n + j] : sums[i * n + j];
    }
}

template <class T>
void product(Index m, Index n, Index k, T alpha, Matrix<const T> a, Matrix<const T> b, bool accumulate,
             Matrix<T> c);

/// The values and the tangents of a matrix of dual numbers as two matrices without gaps.
template <class T>
struct DualParts {
  Buffer<Cpu> storage;
  Matrix<const T> value, tangent;

  DualParts(Matrix<const DualNumber<T>> x, Index rows, Index columns)
      : storage{2 * rows * columns * Index{sizeof(T)}} {
    const Index lines = x.transposed ? columns : rows, length = x.transposed ? rows : columns;
    auto* const values = static_cast<T*>(storage.data());
    auto* const tangents = values + rows * columns;
    for (Index i = 0; i < lines; ++i)
      for (Index j = 0; j < length; ++j) {
        values[i * length + j] = x.data[i * x.stride + j].value;
        tangents[i * length + j] = x.data[i * x.stride + j].tangent;
      }
    value = {values, length, x.transposed};
    tangent = {tangents, length, x.transposed};
  }
};

/// A product of dual matrices as three of plain ones: a b, and a' b + a b'.
template <class T>
void dual_product(Index m, Index n, Index k, DualNumber<T> alpha, Matrix<const DualNumber<T>> a,
                  Matrix<const DualNumber<T>> b, bool accumulate, Matrix<DualNumber<T>> c) {
  const DualParts<T> left{a, m, k}, right{b, k, n};
  const Buffer<Cpu> sums{2 * m * n * Index{sizeof(T)}};
  auto* const value = static_cast<T*>(sums.data());
  T* const tangent = value + m * n;
  product<T>(m, n, k, T(1), left.value, right.value, false, {value, n});
  product<T>(m, n, k, T(1), left.tangent, right.value, false, {tangent, n});
  product<T>(m, n, k, T(1), left.value, right.tangent, true, {tangent, n});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      auto& to = c.data[i * c.stride + j];
      const auto term = alpha * DualNumber<T>{value[i * n + j], tangent[i * n + j]};
      to = accumulate ? to + term : term;
    }
}

/// c (+)= alpha a b on the calling thread; c is not transposed.
template <class T>
void product(Index m, Index n, Index k, T alpha, Matrix<const T> a, Matrix<const T> b, bool accumulate,
             Matrix<T> c) {
  if constexpr (burrow::detail::is_dual<T>) return dual_product(m, n, k, alpha, a, b, accumulate, c);
#ifdef BURROW_WITH_ONEDNN
  if constexpr (std::same_as<T, float>) return onednn_product(m, n, k, alpha, a, b, accumulate, c);
#endif
  if constexpr (lanes < T >> 1) {
    multiply_packed<T>(m, n, k, alpha, a, b, accumulate, c.data, c.stride);
  } else {
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n; ++j) {
        T sum(0);
        for (Index l = 0; l < k; ++l) sum += *a.block(i, l).data * *b.block(l, j).data;
        T& to = c.data[i * c.stride + j];
        to = accumulate ? to + alpha * sum : alpha * sum;
      }
  }
}

}  // namespace detail

/// c (+)= alpha a b for a of m x k and b of k x n, on the calling thread; sums in fp32 for half and bf16.
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
  if constexpr (lanes < compute_type < T >>> 1) {
    if (n == 1)
      return detail::multiply_vector(m, k, alpha, a, b.data, b.transposed ? 1 : b.stride, accumulate, c.data,
                                     c.stride);
    if (m == 1)
      return detail::multiply_vector(n, k, alpha, b.transpose(), a.data, a.transposed ? a.stride : 1,
                                     accumulate, c.data, Index{1});
  }
  if constexpr (Narrow<T>)
    detail::narrow_product<T>(m, n, k, alpha, a, b, accumulate, c);
  else
    detail::product<T>(m, n, k, alpha, a, b, accumulate, c);
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
