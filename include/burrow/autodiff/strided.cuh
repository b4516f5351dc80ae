// Gradients of views with gaps or repetitions on a CUDA device: a dense array added to a strided one.
#pragma once

#include <vector>

#include <burrow/autodiff/leaf_gradient.hpp>
#include <burrow/core/block_reduce.cuh>
#include <burrow/core/for_each.cuh>
#include <burrow/core/strided.hpp>

namespace burrow::detail {

template <class T, class C>
struct AddAtStrides {
  StridedOrder order;
  T* target;
  const C* values;
  bool accumulate;

  __device__ void operator()(Index j) const {
    T& to = target[order.offset(j)];
    const auto value = static_cast<compute_type<T>>(values[j]);
    to = static_cast<T>(accumulate ? static_cast<compute_type<T>>(to) + value : value);
  }
};

/// One warp to each element of the target: sums what is shown of it, lane by lane and then over the lanes.
template <class T, class C>
__global__ void add_repeated_kernel(StridedOrder once, StridedOrder once_dense, StridedOrder again, T* target,
                                    const C* values) {
  using Wide = wide_type<compute_type<T>>;
  const Index warps = blockDim.x / cuda::warp_size, lane = threadIdx.x % cuda::warp_size;
  for (Index e = blockIdx.x * warps + threadIdx.x / cuda::warp_size; e < once.size; e += gridDim.x * warps) {
    const C* const from = values + once_dense.offset(e);
    Wide sum(0);
    for (Index r = lane; r < again.size; r += cuda::warp_size)
      sum += static_cast<Wide>(from[again.offset(r)]);
    sum = cuda::warp_reduce<SumOf>(sum);
    if (lane != 0) continue;
    T& to = target[once.offset(e)];
    to = static_cast<T>(
        static_cast<compute_type<T>>(static_cast<Wide>(static_cast<compute_type<T>>(to)) + sum));
  }
}

/// Adds element j of a dense array to a leaf's gradient for every j. Elements that are shown repeatedly get
/// one sum, in fixed order.
template <class T, class C>
void add_strided(Cuda, std::span<const Index> extents, std::span<const Index> strides, T* target,
                 bool accumulate, const C* values) {
  const StridedOrder order{extents, strides};
  if (!repeats_elements(extents, strides))
    return for_each_index("add_gradient", order.size, AddAtStrides<T, C>{order, target, values, accumulate});
  // The axes along which each element is shown once, in the leaf and in the dense array, and the others.
  std::vector<Index> once_extents, once_strides, dense_strides, again_extents, again_strides;
  Index step = order.size;
  for (std::size_t i = 0; i < extents.size() && order.size > 0; ++i) {
    step /= extents[i];
    const bool repeats = strides[i] == 0;
    (repeats ? again_extents : once_extents).push_back(extents[i]);
    (repeats ? again_strides : dense_strides).push_back(step);
    if (!repeats) once_strides.push_back(strides[i]);
  }
  const StridedOrder once{once_extents, once_strides}, once_dense{once_extents, dense_strides},
      again{again_extents, again_strides};
  if (order.size == 0) return;
  cuda::launch("add_gradient", &add_repeated_kernel<T, C>,
               cuda::striding_grid(once.size * cuda::warp_size, cuda::Context::instance().multiprocessors()),
               once, once_dense, again, target, values);
}

}  // namespace burrow::detail
