// The product of a matrix and a vector on one thread: every element of the matrix is read once, where it
// lies.
#pragma once

#include <burrow/ops/matmul/pack.hpp>

namespace burrow::cpu {

namespace detail {

/// sum_l a[l] b[l] for products of T, in four running vectors.
template <class T, class C, class A>
C dot(const A* a, const C* b, Index count) {
  using P = Packet<C>;
  P sums[4] = {P(C(0)), P(C(0)), P(C(0)), P(C(0))};
  Index l = 0;
  for (; l + 4 * P::size <= count; l += 4 * P::size)
    for (Index s = 0; s < 4; ++s)
      sums[s] =
          fused_multiply_add(load_rounded<T>(a + l + s * P::size), P::load(b + l + s * P::size), sums[s]);
  for (; l < count; l += P::size)
    sums[0] =
        fused_multiply_add(load_rounded<T>(a + l, count - l), load_rounded<C>(b + l, count - l), sums[0]);
  return reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/// sums[i] += sum_l x(l, i) factors[l] for rows l of `x` that are `stride` apart and `width` long, for
/// products of T; `sums` has room for whole vectors.
template <class T, class C, class A>
void add_rows(const A* x, Index stride, Index width, const C* factors, Index count, C* sums) {
  using P = Packet<C>;
  Index l = 0;
  for (; l + 4 <= count; l += 4, x += 4 * stride) {
    const P f[4] = {P(factors[l]), P(factors[l + 1]), P(factors[l + 2]), P(factors[l + 3])};
    for (Index i = 0; i < width; i += P::size) {
      P sum = P::load(sums + i);
      for (Index r = 0; r < 4; ++r)
        sum = fused_multiply_add(load_rounded<T>(x + r * stride + i, width - i), f[r], sum);
      sum.store(sums + i);
    }
  }
  for (; l < count; ++l, x += stride)
    for (Index i = 0; i < width; i += P::size)
      fused_multiply_add(load_rounded<T>(x + i, width - i), P(factors[l]), P::load(sums + i)).store(sums + i);
}

/// y_i = alpha sum_l matrix(i, l) x_l + addend_i for products of T: every element of the matrix is read once,
/// where it lies.
template <class T, class A, class X, class Y>
void multiply_vector(Index rows, Index k, compute_type<T> alpha, Matrix<const A> matrix, const X* x,
                     Index x_step, Y* y, Index y_step, const Y* addend, Index addend_step) {
  using C = compute_type<T>;
  constexpr Index block = 1024;
  const Index padded = (k + Packet<C>::size) / Packet<C>::size * Packet<C>::size;
  const Buffer<Cpu> room{(padded + block) * Index{sizeof(C)}};
  C* const factors = static_cast<C*>(room.data());
  C* const sums = factors + padded;
  for (Index l = 0; l < k; ++l) factors[l] = static_cast<C>(static_cast<T>(x[l * x_step]));
  for (Index first = 0; first < rows; first += block) {
    const Index count = std::min(block, rows - first);
    if (matrix.transposed) {
      std::fill_n(sums, block, C(0));
      add_rows<T>(matrix.data + first, matrix.stride, count, factors, k, sums);
    } else {
      for (Index i = 0; i < count; ++i)
        sums[i] = dot<T>(matrix.data + (first + i) * matrix.stride, factors, k);
    }
    for (Index i = 0; i < count; ++i) {
      C value = alpha * sums[i];
      if (addend != nullptr) value += static_cast<C>(addend[(first + i) * addend_step]);
      y[(first + i) * y_step] = static_cast<Y>(value);
    }
  }
}

}  // namespace detail

}  // namespace burrow::cpu
