// The extents of pooling and the taps of its windows, on every device.
#pragma once

#include <burrow/ops/convolution/window.hpp>

namespace burrow::detail {

/// Extents of one pooling of images [batch, rows.in, columns.in, channels].
struct PoolingExtents {
  Index batch;
  WindowAxis rows, columns;
  Index channels;
  constexpr Index image() const { return rows.in * columns.in * channels; }
  constexpr Index pixels() const { return rows.out * columns.out; }
};

/// Calls body(offset in the image) for the taps of an output pixel that lie inside; returns how many do.
template <class Body>
constexpr Index for_each_inside(const PoolingExtents& e, Index pixel, const Body& body) {
  const Index y = pixel / e.columns.out, x = pixel % e.columns.out;
  Index count = 0;
  for (Index r = 0; r < e.rows.taps; ++r)
    for (Index c = 0; c < e.columns.taps; ++c) {
      const Index i = e.rows.input(y, r), j = e.columns.input(x, c);
      if (!e.rows.inside(i) || !e.columns.inside(j)) continue;
      body((i * e.columns.in + j) * e.channels);
      ++count;
    }
  return count;
}

}  // namespace burrow::detail
