// Copies of arrays of any strides on the device to arrays without gaps, converted where the types differ.
#pragma once

#include <burrow/core/block_reduce.cuh>
#include <burrow/core/dtype.hpp>
#include <burrow/core/strided.hpp>

namespace burrow::detail {

template <class T, class U>
__global__ void copy_strided_kernel(StridedOrder order, const U* from, T* to) {
  const Index step = Index{gridDim.x} * blockDim.x;
  for (Index i = Index{blockIdx.x} * blockDim.x + threadIdx.x; i < order.size; i += step)
    to[i] = static_cast<T>(static_cast<compute_type<U>>(from[order.offset(i)]));
}

template <int Each, class T, class U>
__global__ void convert_kernel(Index count, const U* from, T* to) {
  const Index step = Index{gridDim.x} * blockDim.x;
  for (Index i = Index{blockIdx.x} * blockDim.x + threadIdx.x; i < count / Each; i += step) {
    compute_type<U> values[Each];
    cuda::load_elements(from + i * Each, values);
    cuda::store_elements(to + i * Each, values);
  }
}

/// to = the elements of `order` at `from`, in order.
template <class T, class U>
void copy_elements(const char* name, const StridedOrder& order, const U* from, T* to) {
  if (order.size == 0) return;
  const int multiprocessors = cuda::Context::instance().multiprocessors();
  constexpr int each = cuda::elements_per_access<T>;
  if (order.dense() && cuda::rows_are_aligned<T>(order.size, from, to))
    cuda::launch(name, convert_kernel<each, T, U>, cuda::striding_grid(order.size / each, multiprocessors),
                 order.size, from, to);
  else
    cuda::launch(name, copy_strided_kernel<T, U>, cuda::striding_grid(order.size, multiprocessors), order,
                 from, to);
}

}  // namespace burrow::detail
