// Cross-entropy of rows of logits on a CUDA device.
#pragma once

#include <burrow/ops/cross_entropy/cross_entropy.hpp>
#include <burrow/ops/index_check.cuh>
#include <burrow/ops/softmax/cuda.cuh>

namespace burrow::detail {

template <class T, class I, class C>
struct TargetLogLikelihoods {
  Index width;
  const T* logits;
  const I* targets;
  LogSumExp<C>* normalizers;
  C* likelihoods;

  template <int Each>
  __device__ void operator()(Index r) const {
    const auto target = static_cast<Index>(targets[r]);
    if (target < 0 || target >= width) {
      if (threadIdx.x == 0) likelihoods[r] = C(0);
      return;
    }
    const T* const row = logits + r * width;
    const LogSumExp<C> known = scaled_sum_of_row<Each, C>(row, width).log();
    if (threadIdx.x > 0) return;
    normalizers[r] = known;
    likelihoods[r] = static_cast<C>(row[target]) - known.maximum - known.log_sum;
  }
};

template <class T, IndexElement I, class C>
void target_log_likelihoods(Cuda, const Rows& rows, const T* logits, const I* targets,
                            LogSumExp<C>* normalizers, C* likelihoods) {
  launch_rows<T>("cross_entropy", rows, cuda::rows_are_aligned<T>(rows.width, logits),
                 TargetLogLikelihoods<T, I, C>{rows.width, logits, targets, normalizers, likelihoods});
}

template <class C>
__global__ void negated_sum_kernel(const C* likelihoods, Index count, C* sum) {
  double total = 0;
  for (Index i = threadIdx.x; i < count; i += blockDim.x) total -= static_cast<double>(likelihoods[i]);
  total = cuda::block_reduce<SumOf>(total);
  if (threadIdx.x == 0) *sum = static_cast<C>(total);
}

template <class C>
void negated_sum(Cuda, const C* likelihoods, Index count, C* sum) {
  constexpr unsigned threads = 512;
  cuda::launch("cross_entropy", negated_sum_kernel<C>, {1, 1, 1, threads}, likelihoods, count, sum);
}

template <class T, class I, class C>
struct CrossEntropyBackward {
  Index width;
  const T* logits;
  const I* targets;
  const LogSumExp<C>* normalizers;
  const C* dsum;
  DenseTarget<T> dlogits;

  template <int Each>
  __device__ void operator()(Index r) const {
    const auto target = static_cast<Index>(targets[r]);
    const auto to = dlogits.row(r, width);
    if (target < 0 && to.accumulate) return;
    const LogSumExp<C> known = target < 0 ? LogSumExp<C>{0, 0} : normalizers[r];
    const C scale = *dsum;
    for_elements<Each>(width, [&](Index i) {
      C values[Each];
      cuda::load_elements(logits + r * width + i, values);
#pragma unroll
      for (int e = 0; e < Each; ++e) {
        const C probability = std::exp(values[e] - known.maximum - known.log_sum);
        values[e] = target < 0 ? C(0) : (i + e == target ? probability - C(1) : probability) * scale;
      }
      put_elements(to, i, values);
    });
  }
};

template <class T, IndexElement I, class C>
void cross_entropy_backward(Cuda, const Rows& rows, const T* logits, const I* targets,
                            const LogSumExp<C>* normalizers, const C* dsum, DenseTarget<T> dlogits) {
  launch_rows<T>("cross_entropy gradient", rows, cuda::rows_are_aligned<T>(rows.width, logits, dlogits.data),
                 CrossEntropyBackward<T, I, C>{rows.width, logits, targets, normalizers, dsum, dlogits});
}

}  // namespace burrow::detail
