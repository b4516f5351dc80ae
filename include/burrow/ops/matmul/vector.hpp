// The product of a matrix and a vector: every element of the matrix is read once, where it lies. Memory sets
// its speed, so a task reads a stretch of memory from end to end, several rows of it at a time.
#pragma once

#include <cstdint>

#include <burrow/ops/matmul/pack.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12's own AVX-512 intrinsics start that way
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace burrow::cpu {

namespace detail {

/// Asks memory for what lies `bytes` from p. It may lie outside of p's array: the address is only a number.
inline void fetch(const void* p, Index bytes) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::intptr_t>(p) + bytes));
}

/// Asks for what lies a page further on: rows of a few KiB end before the processor sees a stream in them.
inline void fetch_ahead(const void* p) { fetch(p, 4096); }

/// sum_l x[l] factors[l] for products of T, in four running vectors.
template <class T, class F, class A>
compute_type<T> dot(const A* x, const F* factors, Index count) {
  using C = compute_type<T>;
  using P = Packet<C>;
  constexpr int chains = 4;
  constexpr bool pairs = std::same_as<F, bf16>;
  constexpr Index step = P::size * (pairs ? 2 : 1);
  P sums[chains] = {P(C(0)), P(C(0)), P(C(0)), P(C(0))};
  Index l = 0;
  for (; l + chains * step <= count; l += chains * step)
#pragma GCC unroll 4
    for (int s = 0; s < chains; ++s) {
      const A* const from = x + l + s * step;
      fetch_ahead(from);
      if constexpr (pairs)
        sums[s] =
            multiply_add_words<T>(words_along<T>(from), words_along<T>(factors + l + s * step), sums[s]);
      else
        sums[s] = fused_multiply_add(load_rounded<T>(from), P::load(factors + l + s * step), sums[s]);
    }
  for (; l < count; l += P::size)
    sums[0] = fused_multiply_add(load_rounded<T>(x + l, count - l), load_rounded<F>(factors + l, count - l),
                                 sums[0]);
  return reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/// sums[i] += sum_r x(r, i) factors[r] for Rows rows that are `stride` apart and `width` long, for products
/// of T and in the same order for any Rows; `sums` has room for whole vectors. Asks for as many rows after
/// these.
template <int Rows, class T, class C, class A>
void add_rows(const A* x, Index stride, Index width, const C* factors, C* sums) {
  using P = Packet<C>;
  constexpr int packets = std::max<int>(64 / int{sizeof(A)} / P::size, 1);  // in a line of memory
  P f[Rows];
  for (int r = 0; r < Rows; ++r) f[r] = P(factors[r]);
  Index i = 0;
  for (; i + packets * P::size <= width; i += packets * P::size) {
    P sum[packets];
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) sum[p] = P::load(sums + i + p * P::size);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const A* const from = x + r * stride + i;
      fetch(from, Rows * stride * Index{sizeof(A)});
#pragma GCC unroll 8
      for (int p = 0; p < packets; ++p)
        sum[p] = fused_multiply_add(load_rounded<T>(from + p * P::size), f[r], sum[p]);
    }
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) sum[p].store(sums + i + p * P::size);
  }
  for (; i < width; i += P::size) {
    P sum = P::load(sums + i);
    for (int r = 0; r < Rows; ++r)
      sum = fused_multiply_add(load_rounded<T>(x + r * stride + i, width - i), f[r], sum);
    sum.store(sums + i);
  }
}

/// y_i = alpha sum_l matrix(i, l) x_l + addend_i for products of T, as tasks that any thread may run in any
/// order, and an end. Where the matrix is transposed, so that y is a sum of its rows in memory, these are cut
/// into parts, whose number depends on the length of the sum alone, and the parts' sums are added in order.
template <class T, class A, class X, class Y>
class VectorProduct {
  using C = compute_type<T>;
  using P = Packet<C>;
  static constexpr bool pairs = elements_per_word<T> == 2 && std::same_as<A, T>;
  static constexpr Index most_parts = 8, part_rows = 64;  // few parts: their sums are read and written again
  static constexpr Index wide = 4096;                     // columns whose sums stay in the first cache
  static constexpr Index group = 2;                       // rows added at once
  static constexpr Index task_bytes = Index{1} << 17;     // of a matrix whose rows are summed one by one

 public:
  /// For `threads` threads.
  [[gnu::noinline]] VectorProduct(Index rows, Index k, C alpha, Matrix<const A> matrix, const X* x,
                                  Index x_step, Y* y, Index y_step, const Y* addend, Index addend_step,
                                  Index threads)
      : rows_{rows},
        k_{k},
        alpha_{alpha},
        matrix_{matrix},
        y_{y},
        y_step_{y_step},
        addend_{addend},
        addend_step_{addend_step} {
    const auto up = [](Index length, Index step) { return (length + step - 1) / step * step; };
    if (matrix.transposed) {
      parts_ = std::clamp<Index>(k / part_rows, 1, most_parts);
      const Index pieces = std::max((rows + wide - 1) / wide, (threads + parts_ - 1) / parts_);
      block_ = std::max(up((rows + pieces - 1) / pieces, Index{16} * P::size), Index{16} * P::size);
    } else {
      block_ = std::clamp<Index>(task_bytes / (k * Index{sizeof(A)}), 1, wide);
    }
    blocks_ = (rows + block_ - 1) / block_;
    padded_ = up(rows, block_);
    room_ = Buffer<Cpu>{(up(k, 2 * P::size) + parts_ * padded_) * Index{sizeof(C)}, MemoryUse::scratch};
    sums_ = static_cast<C*>(room_.data()) + up(k, 2 * P::size);
    if (pairs && !matrix.transposed)
      for (Index l = 0; l < k; ++l) words()[l] = static_cast<T>(x[l * x_step]);
    else
      for (Index l = 0; l < k; ++l) factors()[l] = static_cast<C>(static_cast<T>(x[l * x_step]));
  }

  Index tasks() const { return parts_ * blocks_; }

  [[gnu::noinline]] void run(Index task) const {
    const Index part = task / blocks_, begin = task % blocks_ * block_;
    const Index count = std::min(block_, rows_ - begin);
    if (matrix_.transposed)
      sum_rows(part, begin, count);
    else if constexpr (pairs)
      dots(begin, count, words());
    else
      dots(begin, count, factors());
  }

  [[gnu::noinline]] void finish() const {
    for (Index i = 0; i < rows_; i += P::size) {
      P sum = P::load(sums_ + i);
      for (Index part = 1; part < parts_; ++part) sum = sum + P::load(sums_ + part * padded_ + i);
      sum = sum * P(alpha_);
      const Index count = std::min<Index>(P::size, rows_ - i);
      if (addend_ != nullptr) sum = sum + P::gather(addend_ + i * addend_step_, addend_step_, count);
      if (y_step_ == 1 && count == P::size) {
        sum.store(y_ + i);
      } else {
        C values[P::size];
        sum.store(values);
        for (Index j = 0; j < count; ++j) y_[(i + j) * y_step_] = static_cast<Y>(values[j]);
      }
    }
  }

 private:
  C* factors() const { return static_cast<C*>(room_.data()); }
  T* words() const { return static_cast<T*>(room_.data()); }

  void sum_rows(Index part, Index begin, Index count) const {
    C* const sums = sums_ + part * padded_ + begin;
    std::fill_n(sums, block_, C(0));
    Index l = part_begin(part);
    const Index end = part_begin(part + 1);
    const A* row = matrix_.data + l * matrix_.stride + begin;
    for (; l + group <= end; l += group, row += group * matrix_.stride)
      add_rows<group, T>(row, matrix_.stride, count, factors() + l, sums);
    for (; l < end; ++l, row += matrix_.stride)
      add_rows<1, T>(row, matrix_.stride, count, factors() + l, sums);
  }

  /// Where a part begins.
  Index part_begin(Index part) const { return part == parts_ ? k_ : k_ * part / parts_ / group * group; }

  template <class F>
  void dots(Index begin, Index count, const F* factors) const {
    for (Index i = begin; i < begin + count; ++i)
      sums_[i] = dot<T>(matrix_.data + i * matrix_.stride, factors, k_);
  }

  Index rows_, k_;
  C alpha_;
  Matrix<const A> matrix_;
  Y* y_;
  Index y_step_;
  const Y* addend_;
  Index addend_step_, parts_ = 1, block_ = 1, blocks_ = 1, padded_ = 0;
  Buffer<Cpu> room_;
  C* sums_ = nullptr;
};

}  // namespace detail

}  // namespace burrow::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
