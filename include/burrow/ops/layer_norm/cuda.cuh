// Layer normalisation of rows on a CUDA device.
#pragma once

#include <burrow/ops/layer_norm/layer_norm.hpp>
#include <burrow/ops/rows.cuh>

namespace burrow::detail {

template <class Source, class T, class G, class B, class C>
struct LayerNormForward {
  Index width;
  Source x;
  const G* gain;
  const B* bias;
  C epsilon;
  T* y;
  RowMoments<C>* moments;

  template <int Each>
  __device__ void operator()(Index r) const {
    const auto first = [&](Index i, C(&values)[Each]) { read_first(x, r, i, values); };
    const auto load = [&](Index i, C(&values)[Each]) { cuda::load_elements(x(r) + i, values); };
    const C mean = fold_elements<SumOf, Each, C>(width, first) / static_cast<C>(width);
    const C squares = fold_elements<SumOf, Each, C>(width, [&](Index i, C(&values)[Each]) {
      load(i, values);
#pragma unroll
      for (int e = 0; e < Each; ++e) values[e] = (values[e] - mean) * (values[e] - mean);
    });
    const C rho = C(1) / std::sqrt(squares / static_cast<C>(width) + epsilon);
    if (threadIdx.x == 0) moments[r] = {mean, rho};
    for_elements<Each>(width, [&](Index i) {
      C values[Each], gains[Each], biases[Each];
      load(i, values);
      cuda::load_elements(gain + i, gains);
      cuda::load_elements(bias + i, biases);
#pragma unroll
      for (int e = 0; e < Each; ++e) values[e] = (values[e] - mean) * rho * gains[e] + biases[e];
      cuda::store_elements(y + r * width + i, values);
    });
  }
};

template <class Source, class T, class G, class B, class C>
void layer_norm_forward(Cuda, const Rows& rows, const Source& x, const G* gain, const B* bias, C epsilon,
                        T* y, RowMoments<C>* moments) {
  launch_rows<T>("layer_norm", rows,
                 rows_start_whole(x) && cuda::rows_are_aligned<T>(rows.width, gain, bias, y),
                 LayerNormForward<Source, T, G, B, C>{rows.width, x, gain, bias, epsilon, y, moments});
}

/// Two sums at once.
template <class C>
struct SumPair {
  C first, second;
};
struct SumPairOf {
  template <class S>
  static constexpr S identity = {0, 0};
  template <class C>
  static constexpr SumPair<C> combine(SumPair<C> a, SumPair<C> b) {
    return {a.first + b.first, a.second + b.second};
  }
};

/// dx, with h = gain dy and n the normalised row: rho (h - mean(h) - n mean(h n))
template <class T, class G, class C>
struct LayerNormBackward {
  Index width;
  const T* x;
  const G* gain;
  const RowMoments<C>* moments;
  const T* dy;
  DenseTarget<T> dx;

  /// Any row.
  template <int Each>
  __device__ void operator()(Index r) const {
    SumPair<C> sums{0, 0};
    for_elements<Each>(width, [&](Index i) {
      C n[Each], h[Each];
      load(r, i, n, h);
      multiply_elements(gain + i, h);
      add(sums, n, h);
    });
    sums = cuda::block_reduce<SumPairOf>(sums);
    for_elements<Each>(width, [&](Index i) {
      C n[Each], h[Each];
      load(r, i, n, h);
      multiply_elements(gain + i, h);
      put(r, i, sums, n, h);
    });
  }

  /// A row of which each thread has the Each elements from i on, as far as there are any. Adds dy n and dy to
  /// the sums of columns.
  template <int Each>
  __device__ void operator()(Index r, Index i, C (&of_columns)[2][Each]) const {
    C n[Each] = {}, h[Each] = {};
    SumPair<C> sums{0, 0};
    if (i < width) {
      load(r, i, n, h);
#pragma unroll
      for (int e = 0; e < Each; ++e) {
        of_columns[0][e] += n[e] * h[e];
        of_columns[1][e] += h[e];
      }
      multiply_elements(gain + i, h);
      add(sums, n, h);
    }
    sums = cuda::block_reduce<SumPairOf>(sums);
    if (i < width) put(r, i, sums, n, h);
  }

 private:
  /// The elements of n and of dy from i on.
  template <int Each>
  __device__ void load(Index r, Index i, C (&n)[Each], C (&d)[Each]) const {
    const C mean = moments[r].mean, rho = moments[r].rho;
    cuda::load_elements(x + r * width + i, n);
    cuda::load_elements(dy + r * width + i, d);
#pragma unroll
    for (int e = 0; e < Each; ++e) n[e] = (n[e] - mean) * rho;
  }
  template <int Each>
  __device__ static void add(SumPair<C>& sums, const C (&n)[Each], const C (&h)[Each]) {
#pragma unroll
    for (int e = 0; e < Each; ++e) sums = {sums.first + h[e], sums.second + h[e] * n[e]};
  }
  template <int Each>
  __device__ void put(Index r, Index i, const SumPair<C>& sums, C (&n)[Each], const C (&h)[Each]) const {
    const C rho = moments[r].rho;
    const C mean_h = sums.first / static_cast<C>(width), mean_hn = sums.second / static_cast<C>(width);
#pragma unroll
    for (int e = 0; e < Each; ++e) n[e] = rho * (h[e] - mean_h - n[e] * mean_hn);
    put_elements(dx.row(r, width), i, n);
  }
};

/// dy n and dy
template <class T, class C>
struct LayerNormTerms {
  Index width;
  const T* x;
  const RowMoments<C>* moments;
  const T* dy;

  __device__ void operator()(Index r, Index column, C (&terms)[2]) const {
    const Index at = r * width + column;
    terms[1] = static_cast<C>(dy[at]);
    terms[0] = (static_cast<C>(x[at]) - moments[r].mean) * moments[r].rho * terms[1];
  }
};

template <class T, class G, class B, class C>
void layer_norm_backward(Cuda, const Rows& rows, const T* x, const G* gain, const RowMoments<C>* moments,
                         const T* dy, DenseTarget<T> dx, DenseTarget<G> dgain, DenseTarget<B> dbias) {
  const LayerNormBackward<T, G, C> row{rows.width, x, gain, moments, dy, dx};
  const bool aligned = cuda::rows_are_aligned<T>(rows.width, x, gain, dy, dx.data);
  if (dx && (dgain || dbias) &&
      launch_held_rows<T, C>("layer_norm gradient", rows, aligned, row, dgain, dbias))
    return;
  if (dx) launch_rows<T>("layer_norm gradient", rows, aligned, row);
  add_column_sums<C>("layer_norm gradient", rows, LayerNormTerms<T, C>{rows.width, x, moments, dy}, dgain,
                     dbias);
}

}  // namespace burrow::detail
