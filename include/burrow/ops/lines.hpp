// What operations along one axis share: a dense tensor seen as lines along it.
#pragma once

#include <burrow/ops/index_check.hpp>
#include <burrow/ops/rows.hpp>

namespace burrow::detail {

/// Axis of S with negative ones counted from the end.
template <class S, int Axis>
inline constexpr auto axis_number = static_cast<std::size_t>(Axis < 0 ? Axis + S::rank : Axis);

/// A dense tensor along one axis: element k of line (o, i) is data[(o * extent + k) * inner + i].
struct Lines {
  Index outer = 1;
  Index extent = 1;
  Index inner = 1;
};

template <int Axis, class S>
Lines lines_along(const S& shape) {
  Lines lines;
  for (std::size_t i = 0; i < S::extents.size(); ++i)
    (i < axis_number<S, Axis>    ? lines.outer
     : i == axis_number<S, Axis> ? lines.extent
                                 : lines.inner) *= shape.values()[i];
  return lines;
}

/// body(o, first, last, scratch) for blocks of lines i in [first, last), in parallel. The scratch has `rows`
/// rows of last - first elements of type C and belongs to one call at a time.
template <class C, class Body>
void for_line_blocks(const Lines& lines, Index rows, const Body& body) {
  if (lines.inner == 0) return;
  const Index length = std::max<Index>(lines.extent, 1);
  const Index width = std::clamp<Index>(8192 / length, std::min<Index>(16, lines.inner), lines.inner);
  const Index blocks = (lines.inner + width - 1) / width;
  const Index grain = std::max<Index>(elementwise_grain / 4 / (length * width), 1);
  parallel_for(lines.outer * blocks, grain, [&](Index begin, Index end) {
    const Buffer<Cpu> scratch{rows * width * Index{sizeof(C)}};
    for (Index b = begin; b < end; ++b) {
      const Index first = b % blocks * width;
      body(b / blocks, first, std::min(first + width, lines.inner), static_cast<C*>(scratch.data()));
    }
  });
}

/// Throws ValueError where one of `ids` is not an index of an axis of `shape`.
template <int Axis, class Ids, class S>
void check_axis_indices(const char* operation, const Ids& ids, const S& shape, Location where) {
  constexpr auto axis = axis_number<S, Axis>;
  check_indices(device_of<Ids>{}, operation, "index", ids.data(), ids.shape(), shape.values()[axis], false,
                where, {axis, shape.values()});
}

}  // namespace burrow::detail
