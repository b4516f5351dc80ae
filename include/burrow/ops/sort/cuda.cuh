// Ranks of elements along an axis on a CUDA device: an element's rank is the number of those before it. The
// work grows with the square of the extent.
#pragma once

#include <burrow/ops/rows.cuh>
#include <burrow/ops/sort/sort.hpp>

namespace burrow::detail {

template <class Order, class T>
struct PlaceOfElement {
  Lines lines;
  Index count;
  const T* x;
  std::int64_t* places;

  /// Element k of line o, i: `row` counts both o and k.
  template <int>
  __device__ void operator()(Index row, Index i) const {
    using C = compute_type<T>;
    const Index o = row / lines.extent;
    const auto placed = [&](Index k) {
      return Placed<C>{static_cast<C>(x[(o * lines.extent + k) * lines.inner + i]), k};
    };
    const auto own = placed(row % lines.extent);
    Index rank = 0;
    for (Index k = 0; k < lines.extent && rank < count; ++k) rank += Order{}(placed(k), own) ? 1 : 0;
    if (rank < count) places[(o * count + rank) * lines.inner + i] = own.place;
  }
};

template <class Order, class T>
void places_by_rank(Cuda, const Lines& lines, Index count, const T* x, std::int64_t* places) {
  launch_elements_of_rows<T>("sort", Rows{lines.outer * lines.extent, lines.inner}, false,
                             PlaceOfElement<Order, T>{lines, count, x, places});
}

}  // namespace burrow::detail
