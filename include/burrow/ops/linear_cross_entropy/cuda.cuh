// Cross-entropy of a linear map's outputs on a CUDA device: the logits of some rows at a time, from whose
// log-sum-exp the same pass makes their gradient.
#pragma once

#include <burrow/ops/cross_entropy/cuda.cuh>
#include <burrow/ops/gather/cuda.cuh>
#include <burrow/ops/linear_cross_entropy/linear_cross_entropy.hpp>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/weight.cuh>

namespace burrow::cuda {

/// Bytes that the logits at hand may take in linear_cross_entropy: more rows at a time make larger products.
inline Index logits_bytes = Index{256} << 20;

}  // namespace burrow::cuda

namespace burrow::detail {

template <class I>
struct TargetsFrom {
  const I* ids;
  Index first_word;
  Index* targets;
  constexpr void operator()(Index r) const { targets[r] = static_cast<Index>(ids[r]) - first_word; }
};

/// All rows: how many of them have a target is known to the device alone.
template <class T, class I>
CountedRows<T, Cuda> counted_rows(Cuda, const T* h, const I* ids, const Rows& rows, Index, Index first_word) {
  CountedRows<T, Cuda> result{{}, Buffer<Cuda>{rows.count * Index{sizeof(Index)}}, {}, h};
  for_each_index("linear_cross_entropy", rows.count,
                 TargetsFrom<I>{ids, first_word, static_cast<Index*>(result.targets.data())});
  return result;
}

/// The log-likelihood of a row's target, and where `gradients` is not null softmax - one-hot; both are 0 in
/// rows without a target. Rows are `stride` apart; `gradients` may be the logits.
template <class T, class C>
struct LogitsOfRow {
  Index width, stride;
  const C* logits;
  const Index* targets;
  C* likelihoods;
  T* gradients;

  template <int Each>
  __device__ void operator()(Index r) const {
    const C* const row = logits + r * stride;
    const Index target = targets[r];
    if (target < 0 || target >= width) {
      if (threadIdx.x == 0) likelihoods[r] = C(0);
      if (gradients != nullptr)
        for_elements<Each>(width, [&](Index i) {
          constexpr C zeros[Each] = {};
          cuda::store_elements(gradients + r * stride + i, zeros);
        });
      return;
    }
    const LogSumExp<C> known = scaled_sum_of_row<Each, C>(row, width).log();
    if (threadIdx.x == 0) likelihoods[r] = row[target] - known.maximum - known.log_sum;
    if (gradients == nullptr) return;
    __syncthreads();  // the target's logit has been read
    for_elements<Each>(width, [&](Index i) {
      C values[Each];
      cuda::load_elements(row + i, values);
#pragma unroll
      for (int e = 0; e < Each; ++e)
        values[e] = std::exp(values[e] - known.maximum - known.log_sum) - (i + e == target ? C(1) : C(0));
      cuda::store_elements(gradients + r * stride + i, values);
    });
  }
};

/// The gradient of the bias: a column of dlogits.
template <class T, class C>
struct LogitGradients {
  Index stride;
  const T* gradients;
  __device__ void operator()(Index r, Index column, C (&terms)[1]) const {
    terms[0] = static_cast<C>(gradients[r * stride + column]);
  }
};

template <class T, class G, class C, class Vocabulary>
void linear_log_likelihoods(Cuda, const LinearLogits<T, G>& in, C* likelihoods,
                            const LinearLossGradients<C>& gradients, const Vocabulary&) {
  static_assert(Vocabulary::whole, "linear_cross_entropy: ranks share a vocabulary on the CPU only");
  if (in.rows == 0) return;
  const auto one = []<class U>(Matrix<U> x) { return MatrixBatch<U>::over(x, {}, {}); };
  Buffer<Cuda> room;
  const auto table = matrices_as<T>(one(in.table), in.words, in.width, room);
  const Index stride = (in.words + 15) / 16 * 16;
  const Index most_rows = std::clamp<Index>(cuda::logits_bytes / (stride * Index{sizeof(C)}), 1, in.rows);
  const Buffer<Cuda> logits_buffer{most_rows * stride * Index{sizeof(C)}},
      narrow_buffer{gradients && !std::same_as<T, C> ? most_rows * stride * Index{sizeof(T)} : Index{0}};
  C* const logits = static_cast<C*>(logits_buffer.data());
  T* d = nullptr;
  if (gradients) d = narrow_buffer ? static_cast<T*>(narrow_buffer.data()) : reinterpret_cast<T*>(logits);
  const auto multiply = [&](Index m, Index n, Index k, const MatrixBatch<const T>& a,
                            const MatrixBatch<const T>& b, bool accumulate, Matrix<C> c,
                            const C* bias) { multiply_batch<T>(1, m, n, k, a, b, accumulate, one(c), bias); };
  for (Index first = 0; first < in.rows; first += most_rows) {
    const Index rows = std::min(most_rows, in.rows - first), width = std::max<Index>(in.width, 1);
    const auto h = one(Matrix<const T>{in.h + first * in.width, width});
    const auto gradient = one(Matrix<const T>{d, stride});
    multiply(rows, in.words, in.width, h, table.transposed(), false, {logits, stride}, in.bias);
    launch_rows<C>("linear_cross_entropy", Rows{rows, in.words}, in.words % 4 == 0,
                   LogitsOfRow<T, C>{in.words, stride, logits, in.targets + first, likelihoods + first, d});
    if (gradients.h != nullptr)
      multiply(rows, in.width, in.words, gradient, table, false, {gradients.h + first * in.width, width},
               nullptr);
    if (gradients.table != nullptr)
      multiply(in.words, in.width, rows, gradient.transposed(), h, first > 0,
               {gradients.table, in.table.stride, in.table.transposed}, nullptr);
    if (gradients.bias != nullptr)
      add_column_sums<C>("linear_cross_entropy gradient", Rows{rows, in.words},
                         LogitGradients<T, C>{stride, d}, DenseTarget<C>{gradients.bias, first > 0});
  }
}

}  // namespace burrow::detail
