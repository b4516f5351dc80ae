// Pooling of images with channels last on a CUDA device: a thread to each access of an output, and for
// gradients of an input, which adds what the windows around it give in the order of output pixels.
#pragma once

#include <burrow/core/for_each.cuh>
#include <burrow/ops/pooling/pooling.hpp>
#include <burrow/ops/rows.cuh>

namespace burrow::detail {

template <class Op, class T>
struct PoolForward {
  PoolingExtents e;
  const T* x;
  T* y;

  template <int Each>
  __device__ void operator()(Index row, Index k) const {
    using C = compute_type<T>;
    const auto [item, pixel] = divide(row, e.pixels());
    const T* const image = x + item * e.image() + k;
    C total[Each];
#pragma unroll
    for (int n = 0; n < Each; ++n) total[n] = Op::template identity<C>;
    const Index count = for_each_inside(e, pixel, [&](Index offset) {
      C values[Each];
      cuda::load_elements(image + offset, values);
#pragma unroll
      for (int n = 0; n < Each; ++n) total[n] = Op::combine(total[n], values[n]);
    });
#pragma unroll
    for (int n = 0; n < Each; ++n) {
      if constexpr (std::same_as<Op, SumOf>) total[n] *= C(1) / static_cast<C>(count);
      if (count == 0) total[n] = C(0);
    }
    cuda::store_elements(y + row * e.channels + k, total);
  }
};

template <class Op, class T>
void pool_forward(Cuda, const PoolingExtents& e, const T* x, T* y) {
  launch_elements_of_rows<T>("pooling", Rows{e.batch * e.pixels(), e.channels},
                             cuda::rows_are_aligned<T>(e.channels, x, y), PoolForward<Op, T>{e, x, y});
}

template <class Op, class T>
struct PoolBackward {
  PoolingExtents e;
  const T* x;
  const T* dy;
  DenseTarget<T> dx;

  template <int Each>
  __device__ void operator()(Index row, Index k) const {
    using C = compute_type<T>;
    const auto [above, j] = divide(row, e.columns.in);
    const auto [item, i] = divide(above, e.rows.in);
    C sum[Each] = {};
    for (Index r = e.rows.taps; r-- > 0;) {
      const Index out_row = e.rows.output(i, r);
      if (out_row < 0) continue;
      for (Index c = e.columns.taps; c-- > 0;) {
        const Index out_column = e.columns.output(j, c);
        if (out_column < 0) continue;
        const Index pixel = out_row * e.columns.out + out_column;
        C upstream[Each];
        cuda::load_elements(dy + (item * e.pixels() + pixel) * e.channels + k, upstream);
        if constexpr (std::same_as<Op, SumOf>) {
          const C share =
              C(1) / static_cast<C>(e.rows.taps_inside(out_row) * e.columns.taps_inside(out_column));
#pragma unroll
          for (int n = 0; n < Each; ++n) sum[n] += upstream[n] * share;
        } else {
          Index best[Each];
          find_largest(item, pixel, k, best);
#pragma unroll
          for (int n = 0; n < Each; ++n)
            if (best[n] == (i * e.columns.in + j) * e.channels) sum[n] += upstream[n];
        }
      }
    }
    put_elements(dx, row * e.channels + k, sum);
  }

 private:
  /// Where the first largest elements of a window begin.
  template <int Each>
  __device__ void find_largest(Index item, Index pixel, Index k, Index (&best)[Each]) const {
    using C = compute_type<T>;
    const T* const image = x + item * e.image() + k;
    C largest[Each];
#pragma unroll
    for (int n = 0; n < Each; ++n) best[n] = -1;
    for_each_inside(e, pixel, [&](Index offset) {
      C values[Each];
      cuda::load_elements(image + offset, values);
#pragma unroll
      for (int n = 0; n < Each; ++n)
        if (best[n] < 0 || values[n] > largest[n]) {
          best[n] = offset;
          largest[n] = values[n];
        }
    });
  }
};

template <class Op, class T>
void pool_backward(Cuda, const PoolingExtents& e, const T* x, const T* dy, DenseTarget<T> dx) {
  launch_elements_of_rows<T>("pooling gradient", Rows{e.batch * e.rows.in * e.columns.in, e.channels},
                             cuda::rows_are_aligned<T>(e.channels, x, dy, dx.data),
                             PoolBackward<Op, T>{e, x, dy, dx});
}

}  // namespace burrow::detail
