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

  template <int Each>
  __device__ void operator()(Index r) const {
    const T* const from = x + r * width;
    const C scale = rho[r];
    const auto load = [&](Index i, C(&values)[Each], C(&h)[Each]) {
      C gains[Each];
      cuda::load_elements(from + i, values);
      cuda::load_elements(gain + i, gains);
      cuda::load_elements(dy + r * width + i, h);
#pragma unroll
      for (int e = 0; e < Each; ++e) h[e] *= gains[e];
    };
    const C dot = fold_elements<SumOf, Each, C>(width, [&](Index i, C(&products)[Each]) {
      C h[Each];
      load(i, products, h);
#pragma unroll
      for (int e = 0; e < Each; ++e) products[e] *= scale * h[e];
    });
    const C shift = scale * dot / static_cast<C>(width);
    for_elements<Each>(width, [&](Index i) {
      C values[Each], h[Each];
      load(i, values, h);
#pragma unroll
      for (int e = 0; e < Each; ++e) values[e] = scale * (h[e] - values[e] * shift);
      put_elements(dx.row(r, width), i, values);
    });
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
  if (dx)
    launch_rows<T>("rms_norm gradient", rows, cuda::rows_are_aligned<T>(rows.width, x, gain, dy, dx.data),
                   RmsNormBackward<T, G, C>{rows.width, x, gain, rho, dy, dx});
  add_column_sums<C>("rms_norm gradient", rows, RmsNormGainTerms<T, C>{rows.width, x, rho, dy}, dgain);
}

}  // namespace burrow::detail
