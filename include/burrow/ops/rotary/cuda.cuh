// Rotary position embedding on a CUDA device.
#pragma once

#include <burrow/ops/rotary/rotary.hpp>
#include <burrow/ops/rows.cuh>

namespace burrow::detail {

/// Turns the pairs of a row, numbered through its heads.
template <class T, class C>
struct Rotation {
  Index length, width, half;
  const C* angles;
  C sign;
  const T* x;
  DenseTarget<T> y;

  template <int Each>
  __device__ void operator()(Index r, Index pair) const {
    const Index m = pair % half, at = r * width + pair / half * 2 * half + m;
    const C* const cosines = angles + r % length * 2 * half + m;
    C a[Each], b[Each], cosine[Each], sine[Each];
    cuda::load_elements(x + at, a);
    cuda::load_elements(x + at + half, b);
    cuda::load_elements(cosines, cosine);
    cuda::load_elements(cosines + half, sine);
#pragma unroll
    for (int e = 0; e < Each; ++e) {
      const C left = a[e] * cosine[e] - b[e] * sine[e] * sign;
      b[e] = b[e] * cosine[e] + a[e] * sine[e] * sign;
      a[e] = left;
    }
    put_elements(y, at, a);
    put_elements(y, at + half, b);
  }
};

template <class T, class C>
void rotate(Cuda, const Rows& rows, Index length, Index head_width, const C* angles, bool backwards,
            const T* x, DenseTarget<T> y) {
  const Index half = head_width / 2;
  launch_elements_of_rows<T>(
      "rotary", Rows{rows.count, rows.width / 2}, cuda::rows_are_aligned<T>(half, x, y.data, angles),
      Rotation<T, C>{length, rows.width, half, angles, backwards ? C(-1) : C(1), x, y});
}

}  // namespace burrow::detail
