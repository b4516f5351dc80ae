// Running sums and products along an axis on a CUDA device: a thread scans each line, in order.
#pragma once

#include <burrow/ops/rows.cuh>
#include <burrow/ops/scan/scan.hpp>

namespace burrow::detail {

template <class Op, bool Backward, class T, class Y>
struct ScanOfLine {
  Lines lines;
  const T* x;
  DenseTarget<Y> y;

  template <int>
  __device__ void operator()(Index o, Index i) const {
    using W = wide_type<compute_type<Y>>;
    W carried = Op::template identity<W>;
    for (Index step = 0; step < lines.extent; ++step) {
      const Index k = Backward ? lines.extent - 1 - step : step;
      const Index at = (o * lines.extent + k) * lines.inner + i;
      carried = Op::combine(carried, static_cast<W>(x[at]));
      y.put(at, static_cast<compute_type<Y>>(carried));
    }
  }
};

template <class Op, bool Backward, class T, class Y>
void scan(Cuda, const Lines& lines, const T* x, DenseTarget<Y> y) {
  launch_elements_of_rows<T>("cumulative", Rows{lines.outer, lines.inner}, false,
                             ScanOfLine<Op, Backward, T, Y>{lines, x, y});
}

template <class T>
struct ProductGradientOfLine {
  Lines lines;
  const T *x, *y, *dy;
  DenseTarget<T> dx;

  template <int>
  __device__ void operator()(Index o, Index i) const {
    using C = compute_type<T>;
    using W = wide_type<C>;
    W sum(0);
    for (Index k = lines.extent; k-- > 0;) {
      const Index at = (o * lines.extent + k) * lines.inner + i;
      const W slope = k + 1 < lines.extent ? static_cast<W>(x[at + lines.inner]) : W(0);
      sum = static_cast<W>(dy[at]) + slope * sum;
      dx.put(at, static_cast<C>(k > 0 ? static_cast<W>(y[at - lines.inner]) * sum : sum));
    }
  }
};

template <class T>
void cumprod_backward(Cuda, const Lines& lines, const T* x, const T* y, const T* dy, DenseTarget<T> dx) {
  launch_elements_of_rows<T>("cumprod gradient", Rows{lines.outer, lines.inner}, false,
                             ProductGradientOfLine<T>{lines, x, y, dy, dx});
}

}  // namespace burrow::detail
