// Arrays of any strides on the device: where element number i lies, and copies of all elements without gaps,
// converted where the types differ.
#pragma once

#include <array>
#include <span>

#include <burrow/core/block_reduce.cuh>
#include <burrow/core/dtype.hpp>

namespace burrow::detail {

/// The elements of an array in row-major order, with neighbouring axes that follow each other in memory taken
/// as one.
struct StridedOrder {
  static constexpr int most_axes = 10;
  int rank = 0;
  Index size = 1;
  std::array<Index, most_axes> extents{}, strides{};

  constexpr StridedOrder(std::span<const Index> of_extents, std::span<const Index> of_strides) {
    for (std::size_t i = 0; i < of_extents.size(); ++i) {
      size *= of_extents[i];
      if (of_extents[i] == 1) continue;
      if (rank > 0 && strides[last()] == of_strides[i] * of_extents[i]) {
        extents[last()] *= of_extents[i];
        strides[last()] = of_strides[i];
      } else {
        if (rank == most_axes) throw Error("strided array: more than 10 axes on the device");
        ++rank;
        extents[last()] = of_extents[i];
        strides[last()] = of_strides[i];
      }
    }
  }

  constexpr bool dense() const { return rank == 0 || (rank == 1 && strides[0] == 1); }

  constexpr Index offset(Index i) const {
    Index result = 0;
    for (int axis = rank; axis-- > 0;) {
      const auto a = static_cast<std::size_t>(axis);
      result += i % extents[a] * strides[a];
      i /= extents[a];
    }
    return result;
  }

 private:
  constexpr std::size_t last() const { return static_cast<std::size_t>(rank - 1); }
};

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
