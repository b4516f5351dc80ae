// How a window slides over the axes of an image: what convolution and pooling share.
#pragma once

#include <array>

#include <burrow/core/shape.hpp>

namespace burrow {

namespace detail {
template <std::size_t Axes>
constexpr std::array<Index, Axes> once_per_axis() {
  std::array<Index, Axes> result{};
  for (Index& extent : result) extent = 1;
  return result;
}
}  // namespace detail

/// Steps and borders of a window over `Axes` axes, as a template argument: `Window<2>{.stride = {2, 2}, .same
/// = true}`. Outputs stand `stride` inputs apart, the taps of one window `dilation`. Without borders only
/// windows that lie inside count ("valid"); `before` and `after` are the rows that the image is thought to
/// have more; `same` chooses them so that an axis of n gives ceil(n / stride), the odd one after.
template <std::size_t Axes>
struct Window {
  std::array<Index, Axes> stride = detail::once_per_axis<Axes>();
  std::array<Index, Axes> dilation = detail::once_per_axis<Axes>();
  std::array<Index, Axes> before{}, after{};
  bool same = false;
};

namespace detail {

/// One axis of an image under a window: tap k of output o reads input(o, k), if that is in [0, in).
struct WindowAxis {
  Index in, taps, stride, dilation, before, out;

  /// True where output o reads input o alone.
  constexpr bool is_identity() const { return taps == 1 && stride == 1 && before == 0 && out == in; }
  constexpr Index input(Index o, Index k) const { return o * stride + k * dilation - before; }
  constexpr bool inside(Index i) const { return i >= 0 && i < in; }
  /// The output whose tap k reads input i; -1 where there is none.
  constexpr Index output(Index i, Index k) const {
    const Index ahead = i + before - k * dilation;
    return ahead >= 0 && ahead % stride == 0 && ahead / stride < out ? ahead / stride : -1;
  }
  /// How many taps of output o lie inside.
  constexpr Index taps_inside(Index o) const {
    Index count = 0;
    for (Index k = 0; k < taps; ++k) count += inside(input(o, k)) ? 1 : 0;
    return count;
  }
};

template <std::size_t Axes>
constexpr WindowAxis window_axis(const Window<Axes>& how, std::size_t axis, Index in, Index taps) {
  const Index span = (taps - 1) * how.dilation[axis] + 1, stride = how.stride[axis];
  WindowAxis result{in, taps, stride, how.dilation[axis], how.before[axis], 0};
  if (how.same) {
    result.out = (in + stride - 1) / stride;
    const Index border = (result.out - 1) * stride + span - in;
    result.before = border > 0 ? border / 2 : 0;
  } else if (in + how.before[axis] + how.after[axis] >= span) {
    result.out = (in + how.before[axis] + how.after[axis] - span) / stride + 1;
  }
  return result;
}

/// The extent that a window leaves of an axis, dyn where it depends on run-time extents.
template <std::size_t Axes>
constexpr Index window_extent(const Window<Axes>& how, std::size_t axis, Index in, Index taps) {
  return in == dyn || taps == dyn ? dyn : window_axis(how, axis, in, taps).out;
}

/// The same window on a plane of one row.
constexpr Window<2> on_plane(const Window<1>& how) {
  return {.stride = {1, how.stride[0]},
          .dilation = {1, how.dilation[0]},
          .before = {0, how.before[0]},
          .after = {0, how.after[0]},
          .same = how.same};
}

}  // namespace detail

}  // namespace burrow
