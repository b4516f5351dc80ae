// The extents of a convolution, on every device.
#pragma once

#include <burrow/ops/convolution/window.hpp>

namespace burrow::detail {

/// Extents of one convolution of images [batch, rows.in, columns.in, in] with weights [rows.taps,
/// columns.taps, in / groups, out].
struct ConvolutionExtents {
  Index batch;
  WindowAxis rows, columns;
  Index in, out, groups;

  constexpr Index item_pixels() const { return rows.out * columns.out; }
  constexpr Index pixels() const { return batch * item_pixels(); }
  constexpr Index group_in() const { return in / groups; }
  constexpr Index group_out() const { return out / groups; }
  constexpr Index taps() const { return rows.taps * columns.taps; }
  /// Inputs of one output pixel in one group.
  constexpr Index patch() const { return taps() * group_in(); }
  /// True where every pixel is made of the one at its place.
  constexpr bool pointwise() const { return rows.is_identity() && columns.is_identity(); }
};

}  // namespace burrow::detail
