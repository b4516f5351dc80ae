// Softmax and log-softmax of rows on a CUDA device: a row is read once for its log-sum-exp and once for what
// is made of it.
#pragma once

#include <burrow/ops/rows.cuh>
#include <burrow/ops/softmax/softmax.hpp>

namespace burrow::detail {

/// The largest of some numbers, and the sum of exp(number - maximum).
template <class C>
struct ScaledSum {
  C maximum, sum;

  constexpr LogSumExp<C> log() const { return {maximum, std::log(sum)}; }
};

/// How sums of exponentials with maxima of their own are combined. +inf and NaN make the sum NaN.
struct ScaledSumOf {
  template <class S>
  static constexpr S identity = {MaximumOf::identity<decltype(S::maximum)>, 0};

  /// exp(x - maximum), where -inf is as much as -inf
  template <class C>
  static constexpr C weight(C x, C maximum) {
    return x == maximum && x < std::numeric_limits<C>::infinity() ? C(1) : std::exp(x - maximum);
  }
  template <class C>
  static constexpr ScaledSum<C> combine(ScaledSum<C> a, ScaledSum<C> b) {
    const C maximum = MaximumOf::combine(a.maximum, b.maximum);
    return {maximum, a.sum * weight(a.maximum, maximum) + b.sum * weight(b.maximum, maximum)};
  }
};

/// The sum over a row of the Each elements that load(i, values) gives from i on, in all threads of the block.
template <int Each, class C, class Load>
__device__ ScaledSum<C> scaled_sum_of_row(Index width, const Load& load) {
  auto known = ScaledSumOf::identity<ScaledSum<C>>;
  for_elements<Each>(width, [&](Index i) {
    C values[Each];
    load(i, values);
    C maximum = known.maximum;
#pragma unroll
    for (int e = 0; e < Each; ++e) maximum = MaximumOf::combine(maximum, values[e]);
    C sum = known.sum * ScaledSumOf::weight(known.maximum, maximum);
#pragma unroll
    for (int e = 0; e < Each; ++e) sum += ScaledSumOf::weight(values[e], maximum);
    known = {maximum, sum};
  });
  return cuda::block_reduce<ScaledSumOf>(known);
}
template <int Each, class C, class T>
__device__ ScaledSum<C> scaled_sum_of_row(const T* x, Index width) {
  return scaled_sum_of_row<Each, C>(width,
                                    [x](Index i, C(&values)[Each]) { cuda::load_elements(x + i, values); });
}

template <class T>
struct SoftmaxForward {
  Index width;
  const T* x;
  T* y;

  template <int Each>
  __device__ void operator()(Index r) const {
    using C = compute_type<T>;
    const T* const from = x + r * width;
    T* const to = y + r * width;
    const auto known = scaled_sum_of_row<Each, C>(from, width);
    const C share = C(1) / known.sum;
    for_elements<Each>(width, [&](Index i) {
      C values[Each];
      cuda::load_elements(from + i, values);
#pragma unroll
      for (int e = 0; e < Each; ++e) values[e] = std::exp(values[e] - known.maximum) * share;
      cuda::store_elements(to + i, values);
    });
  }
};

template <class T>
void softmax_forward(Cuda, const Rows& rows, const T* x, T* y) {
  launch_rows<T>("softmax", rows, cuda::rows_are_aligned<T>(rows.width, x, y),
                 SoftmaxForward<T>{rows.width, x, y});
}

template <class T>
struct SoftmaxBackward {
  Index width;
  const T *y, *dy;
  DenseTarget<T> dx;

  template <int Each>
  __device__ void operator()(Index r) const {
    using C = compute_type<T>;
    const T *const value = y + r * width, *const upstream = dy + r * width;
    const auto load = [&](Index i, C(&values)[Each], C(&gradients)[Each]) {
      cuda::load_elements(value + i, values);
      cuda::load_elements(upstream + i, gradients);
    };
    const C dot = fold_elements<SumOf, Each, C>(width, [&](Index i, C(&products)[Each]) {
      C gradients[Each];
      load(i, products, gradients);
#pragma unroll
      for (int e = 0; e < Each; ++e) products[e] *= gradients[e];
    });
    for_elements<Each>(width, [&](Index i) {
      C values[Each], gradients[Each];
      load(i, values, gradients);
#pragma unroll
      for (int e = 0; e < Each; ++e) values[e] *= gradients[e] - dot;
      put_elements(dx.row(r, width), i, values);
    });
  }
};

template <class T>
void softmax_backward(Cuda, const Rows& rows, const T* y, const T* dy, DenseTarget<T> dx) {
  launch_rows<T>("softmax gradient", rows, cuda::rows_are_aligned<T>(rows.width, y, dy, dx.data),
                 SoftmaxBackward<T>{rows.width, y, dy, dx});
}

template <class T, class C>
struct LogSoftmaxForward {
  Index width;
  const T* x;
  T* y;
  LogSumExp<C>* normalizers;

  template <int Each>
  __device__ void operator()(Index r) const {
    const T* const from = x + r * width;
    const LogSumExp<C> known = scaled_sum_of_row<Each, C>(from, width).log();
    if (threadIdx.x == 0) normalizers[r] = known;
    for_elements<Each>(width, [&](Index i) {
      C values[Each];
      cuda::load_elements(from + i, values);
#pragma unroll
      for (int e = 0; e < Each; ++e) values[e] = values[e] - known.maximum - known.log_sum;
      cuda::store_elements(y + r * width + i, values);
    });
  }
};

template <class T, class C>
void log_softmax_forward(Cuda, const Rows& rows, const T* x, T* y, LogSumExp<C>* normalizers) {
  launch_rows<T>("log_softmax", rows, cuda::rows_are_aligned<T>(rows.width, x, y),
                 LogSoftmaxForward<T, C>{rows.width, x, y, normalizers});
}

template <class T, class C>
struct LogSoftmaxBackward {
  Index width;
  const T* x;
  const LogSumExp<C>* normalizers;
  const T* dy;
  DenseTarget<T> dx;

  template <int Each>
  __device__ void operator()(Index r) const {
    const T *const from = x + r * width, *const upstream = dy + r * width;
    const LogSumExp<C> known = normalizers[r];
    const C total = fold_elements<SumOf, Each, C>(
        width, [&](Index i, C(&gradients)[Each]) { cuda::load_elements(upstream + i, gradients); });
    for_elements<Each>(width, [&](Index i) {
      C values[Each], gradients[Each];
      cuda::load_elements(from + i, values);
      cuda::load_elements(upstream + i, gradients);
#pragma unroll
      for (int e = 0; e < Each; ++e)
        values[e] = gradients[e] - std::exp(values[e] - known.maximum - known.log_sum) * total;
      put_elements(dx.row(r, width), i, values);
    });
  }
};

template <class T, class C>
void log_softmax_backward(Cuda, const Rows& rows, const T* x, const LogSumExp<C>* normalizers, const T* dy,
                          DenseTarget<T> dx) {
  launch_rows<T>("log_softmax gradient", rows, cuda::rows_are_aligned<T>(rows.width, x, dy, dx.data),
                 LogSoftmaxBackward<T, C>{rows.width, x, normalizers, dy, dx});
}

}  // namespace burrow::detail
