// RMS normalisation of rows on a CUDA device.
#pragma once

#include <burrow/ops/rms_norm/rms_norm.hpp>
#include <burrow/ops/rows.cuh>

namespace burrow::detail {

template <class Source, class T, class G, class C>
struct RmsNormForward {
  Index width;
  Source x;
  const G* gain;
  C epsilon;
  T* y;
  C* rho;

  template <int Each>
  __device__ void operator()(Index r) const {
    const C squares = fold_elements<SumOf, Each, C>(width, [&](Index i, C(&values)[Each]) {
      read_first(x, r, i, values);
#pragma unroll
      for (int e = 0; e < Each; ++e) values[e] *= values[e];
    });
    const C scale = C(1) / std::sqrt(squares / static_cast<C>(width) + epsilon);
    if (threadIdx.x == 0) rho[r] = scale;
    for_elements<Each>(width, [&](Index i) {
      C values[Each], gains[Each];
      cuda::load_elements(x(r) + i, values);
      cuda::load_elements(gain + i, gains);
#pragma unroll
      for (int e = 0; e < Each; ++e) values[e] *= scale * gains[e];
      cuda::store_elements(y + r * width + i, values);
    });
  }
};

template <class Source, class T, class G, class C>
void rms_norm_forward(Cuda, const Rows& rows, const Source& x, const G* gain, C epsilon, T* y, C* rho) {
  launch_rows<T>("rms_norm", rows, rows_start_whole(x) && cuda::rows_are_aligned<T>(rows.width, gain, y),
                 RmsNormForward<Source, T, G, C>{rows.width, x, gain, epsilon, y, rho});
}

/// dx, with h = gain dy: rho h - x (rho^3 / width) sum(h x)
template <class T, class G, class C>
struct RmsNormBackward {
  Index width;
  const T* x;
  const G* gain;
  const C* rho;
  const T* dy;
  DenseTarget<T> dx;

  /// Any row.
  template <int Each>
  __device__ void operator()(Index r) const {
    const C dot = fold_elements<SumOf, Each, C>(width, [&](Index i, C(&products)[Each]) {
      C h[Each];
      load(r, i, products, h);
      multiply_elements(gain + i, h);
#pragma unroll
      for (int e = 0; e < Each; ++e) products[e] *= rho[r] * h[e];
    });
    for_elements<Each>(width, [&](Index i) {
      C values[Each], h[Each];
      load(r, i, values, h);
      multiply_elements(gain + i, h);
      put(r, i, dot, values, h);
    });
  }

  /// A row of which each thread has the Each elements from i on, as far as there are any. Adds dy x rho to
  /// the sums of columns.
  template <int Each>
  __device__ void operator()(Index r, Index i, C (&of_columns)[1][Each]) const {
    C values[Each] = {}, h[Each] = {};
    C dot(0);
    if (i < width) {
      load(r, i, values, h);
#pragma unroll
      for (int e = 0; e < Each; ++e) of_columns[0][e] += values[e] * rho[r] * h[e];
      multiply_elements(gain + i, h);
#pragma unroll
      for (int e = 0; e < Each; ++e) dot += values[e] * (rho[r] * h[e]);
    }
    dot = cuda::block_reduce<SumOf>(dot);
    if (i < width) put(r, i, dot, values, h);
  }

 private:
  /// The elements of x and of dy from i on.
  template <int Each>
  __device__ void load(Index r, Index i, C (&values)[Each], C (&d)[Each]) const {
    cuda::load_elements(x + r * width + i, values);
    cuda::load_elements(dy + r * width + i, d);
  }
  template <int Each>
  __device__ void put(Index r, Index i, C dot, C (&values)[Each], const C (&h)[Each]) const {
    const C scale = rho[r], shift = scale * dot / static_cast<C>(width);
#pragma unroll
    for (int e = 0; e < Each; ++e) values[e] = scale * (h[e] - values[e] * shift);
    put_elements(dx.row(r, width), i, values);
  }
};

/// dy x rho
template <class T, class C>
struct RmsNormGainTerms {
  Index width;
  const T* x;
  const C* rho;
  const T* dy;

  __device__ void operator()(Index r, Index column, C (&terms)[1]) const {
    const Index at = r * width + column;
    terms[0] = static_cast<C>(x[at]) * rho[r] * static_cast<C>(dy[at]);
  }
};

template <class T, class G, class C>
void rms_norm_backward(Cuda, const Rows& rows, const T* x, const G* gain, const C* rho, const T* dy,
                       DenseTarget<T> dx, DenseTarget<G> dgain) {
  const RmsNormBackward<T, G, C> row{rows.width, x, gain, rho, dy, dx};
  const bool aligned = cuda::rows_are_aligned<T>(rows.width, x, gain, dy, dx.data);
  if (dx && dgain && launch_held_rows<T, C>("rms_norm gradient", rows, aligned, row, dgain)) return;
  if (dx) launch_rows<T>("rms_norm gradient", rows, aligned, row);
  add_column_sums<C>("rms_norm gradient", rows, RmsNormGainTerms<T, C>{rows.width, x, rho, dy}, dgain);
}

}  // namespace burrow::detail
