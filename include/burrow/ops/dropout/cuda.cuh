// Dropout on a CUDA device: the same elements as on the CPU.
#pragma once

#include <burrow/core/block_reduce.cuh>
#include <burrow/core/captured_step.cuh>
#include <burrow/ops/dropout/dropout.hpp>
#include <burrow/ops/rows.cuh>

namespace burrow::detail {

/// Four elements to a thread, those of one counter of the key, from element `first` on. Whole says that they
/// can be read at once.
template <bool Whole, class T>
__global__ void drop_kernel(Given<Key> given, double limit, compute_type<T> scale, Index first, Index count,
                            const T* x, DenseTarget<T> y) {
  using C = compute_type<T>;
  const Key key = given.get();
  const Index step = Index{gridDim.x} * blockDim.x;
  const Index skipped = first % 4, last = skipped + count;
  for (Index block = Index{blockIdx.x} * blockDim.x + threadIdx.x; 4 * block < last; block += step) {
    const auto words = key.words(static_cast<std::uint64_t>(first / 4 + block));
    const auto kept = [&](int e) { return static_cast<double>(words[static_cast<std::size_t>(e)]) >= limit; };
    if constexpr (Whole) {
      C values[4];
      cuda::load_elements(x + 4 * block, values);
#pragma unroll
      for (int e = 0; e < 4; ++e) values[e] = kept(e) ? values[e] * scale : C(0);
      put_elements(y, 4 * block, values);
    } else {
      for (int e = 0; e < 4; ++e) {
        const Index i = 4 * block + e - skipped;
        if (0 <= i && i < count) y.put(i, kept(e) ? static_cast<C>(x[i]) * scale : C(0));
      }
    }
  }
}

template <class T>
void drop(Cuda, const Given<Key>& key, double rate, Index count, const T* x, DenseTarget<T> y,
          Index first = 0) {
  if (count == 0) return;
  using C = compute_type<T>;
  const C scale = static_cast<C>(1.0 / (1.0 - rate));
  const double limit = rate * 0x1p32;
  const auto grid =
      cuda::striding_grid((first % 4 + count + 3) / 4, cuda::Context::instance().multiprocessors());
  const auto aligned = [](const T* p) {
    return reinterpret_cast<std::uintptr_t>(p) % cuda::access_alignment<T, 4> == 0;
  };
  if (first % 4 == 0 && count % 4 == 0 && aligned(x) && aligned(y.data))
    cuda::launch("dropout", drop_kernel<true, T>, grid, key, limit, scale, first, count, x, y);
  else
    cuda::launch("dropout", drop_kernel<false, T>, grid, key, limit, scale, first, count, x, y);
}

}  // namespace burrow::detail
