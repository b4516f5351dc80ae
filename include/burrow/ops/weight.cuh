// Weights of operations on a CUDA device: conversions, and gradients times a factor.
#pragma once

#include <burrow/ops/rows.cuh>
#include <burrow/ops/strided.cuh>
#include <burrow/ops/weight.hpp>

namespace burrow::detail {

template <class T, class G>
void convert_elements(Cuda, const G* from, Index count, T* to) {
  const std::array<Index, 1> extents{count}, strides{1};
  copy_elements("a conversion", StridedOrder{extents, strides}, from, to);
}

template <class G, class C>
struct AddScaled {
  const C* values;
  const C* scale;
  DenseTarget<G> target;

  template <int Each>
  __device__ void operator()(Index, Index i) const {
    C scaled[Each];
    cuda::load_elements(values + i, scaled);
    const C factor = *scale;
#pragma unroll
    for (int e = 0; e < Each; ++e) scaled[e] *= factor;
    put_elements(target, i, scaled);
  }
};

template <class G, class C>
void add_scaled(Cuda, const C* values, Index count, const C* scale, DenseTarget<G> target) {
  launch_elements_of_rows<G>("a gradient times a factor", Rows{1, count},
                             cuda::rows_are_aligned<G>(count, values, target.data),
                             AddScaled<G, C>{values, scale, target});
}

}  // namespace burrow::detail
