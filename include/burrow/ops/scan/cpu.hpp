// Running sums and products along an axis on the CPU. Each line is scanned in order by one thread.
#pragma once

#include <burrow/ops/lines.hpp>

namespace burrow::detail {

/// y[o, k, i] = Op over x[o, j, i] for j <= k, or for j >= k where Backward; carried in a wide type.
template <class Op, bool Backward, class T, class Y>
void scan(Cpu, const Lines& lines, const T* x, DenseTarget<Y> y) {
  using W = wide_type<compute_type<Y>>;
  for_line_blocks<W>(lines, 1, [&](Index o, Index first, Index last, W* carry) {
    std::fill_n(carry, last - first, Op::template identity<W>);
    for (Index step = 0; step < lines.extent; ++step) {
      const Index k = Backward ? lines.extent - 1 - step : step;
      const Index row = (o * lines.extent + k) * lines.inner;
      for (Index i = first; i < last; ++i) {
        W& value = carry[i - first];
        value = Op::combine(value, static_cast<W>(x[row + i]));
        y.put(row + i, static_cast<compute_type<Y>>(value));
      }
    }
  });
}

/// dx_k = y_{k-1} s_k with s_k = dy_k + x_{k+1} s_{k+1}: without division, so zeros do no harm.
template <class T>
void cumprod_backward(Cpu, const Lines& lines, const T* x, const T* y, const T* dy, DenseTarget<T> dx) {
  using C = compute_type<T>;
  using W = wide_type<C>;
  for_line_blocks<W>(lines, 1, [&](Index o, Index first, Index last, W* sum) {
    std::fill_n(sum, last - first, W(0));
    for (Index k = lines.extent; k-- > 0;) {
      const Index row = (o * lines.extent + k) * lines.inner;
      for (Index i = first; i < last; ++i) {
        const Index at = row + i, next = at + lines.inner, previous = at - lines.inner;
        const W slope = k + 1 < lines.extent ? static_cast<W>(x[next]) : W(0);
        W& s = sum[i - first];
        s = static_cast<W>(dy[at]) + slope * s;
        dx.put(at, static_cast<C>(k > 0 ? static_cast<W>(y[previous]) * s : s));
      }
    }
  });
}

}  // namespace burrow::detail
