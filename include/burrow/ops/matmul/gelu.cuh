// Products with a GELU, or with its derivative, as epilogues of cuBLASLt; and as passes of their own where
// the library has none: of double, or of rows that are no multiple of eight elements.
#pragma once

#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/tensor/activations.hpp>
#include <burrow/tensor/cuda.cuh>

namespace burrow::detail {

/// c = a b of m x k and k x n with a GELU's epilogue, by the library; false where it cannot.
template <class T, class A, class B>
bool multiply_with_gelu_epilogue(Index m, Index n, Index k, Matrix<const A> a, Matrix<const B> b, T* c,
                                 const cuda::Epilogue& epilogue) {
  if (n % 8 != 0 || cuda::alignment_of(epilogue.before) < 16) return false;
  return multiply_with_epilogue<T>(m, n, k, a, b, false, Matrix<T>{c, n}, epilogue);
}

template <class T>
struct GeluEach {
  const T* before;
  T* after;
  constexpr void operator()(Index i) const {
    using V = Packet<compute_type<T>, 1>;
    after[i] = static_cast<T>(functors::Gelu{}(V(static_cast<compute_type<T>>(before[i]))).v);
  }
};
template <class T>
struct GeluGradientEach {
  const T* before;
  T* d;
  constexpr void operator()(Index i) const {
    using C = compute_type<T>;
    using V = Packet<C, 1>;
    const V x(static_cast<C>(before[i]));
    const auto [slope] = functors::Gelu::derivatives(x, functors::Gelu{}(x));
    d[i] = static_cast<T>((V(static_cast<C>(d[i])) * slope).v);
  }
};

/// after = gelu(before), of `count` elements.
template <class T>
void gelu_of(Cuda, Index count, const T* before, T* after) {
  for_each_index("gelu", count, GeluEach<T>{before, after});
}

/// before = a b + bias, a row for each row, and after = gelu(before).
template <class T, class A, class B>
void multiply_with_gelu(Cuda, Index m, Index n, Index k, Matrix<const A> a, Matrix<const B> b, const T* bias,
                        T* before, T* after) {
  if (multiply_with_gelu_epilogue(m, n, k, a, b, after, {CUBLASLT_EPILOGUE_GELU_AUX_BIAS, bias, before, n}))
    return;
  multiply_with_bias<T>(Cuda{}, m, n, k, a, b, bias, before);
  gelu_of(Cuda{}, m * n, before, after);
}

/// d = a b times the derivative of gelu at `before`.
template <class T, class A, class B>
void multiply_gelu_gradient(Cuda, Index m, Index n, Index k, Matrix<const A> a, Matrix<const B> b,
                            const T* before, T* d) {
  if (multiply_with_gelu_epilogue(m, n, k, a, b, d, {CUBLASLT_EPILOGUE_DGELU, nullptr, before, n})) return;
  multiply_batch<T>(1, m, n, k, MatrixBatch<const A>::over(a, {}, {}), MatrixBatch<const B>::over(b, {}, {}),
                    false, MatrixBatch<T>::rows(d, n), static_cast<const T*>(nullptr));
  for_each_index("gelu gradient", m * n, GeluGradientEach<T>{before, d});
}

}  // namespace burrow::detail
