// Where the elements of an array of any strides lie, for those who number them.
#pragma once

#include <array>
#include <span>

#include <burrow/core/shape.hpp>

namespace burrow::detail {

/// The elements of an array in row-major order, with neighbouring axes that follow each other in memory taken
/// as one.
struct StridedOrder {
  static constexpr int most_axes = 10;
  int rank = 0;
  Index size = 1;
  std::array<Index, most_axes> extents{}, strides{};

  constexpr StridedOrder(std::span<const Index> of_extents, std::span<const Index> of_strides) {
    for (std::size_t i = 0; i < of_extents.size(); ++i) {
      size *= of_extents[i];
      if (of_extents[i] == 1) continue;
      if (rank > 0 && strides[last()] == of_strides[i] * of_extents[i]) {
        extents[last()] *= of_extents[i];
        strides[last()] = of_strides[i];
      } else {
        if (rank == most_axes) throw Error("strided array: more than 10 axes on the device");
        ++rank;
        extents[last()] = of_extents[i];
        strides[last()] = of_strides[i];
      }
    }
  }

  constexpr bool dense() const { return rank == 0 || (rank == 1 && strides[0] == 1); }

  constexpr Index offset(Index i) const {
    Index result = 0;
    for (int axis = rank; axis-- > 0;) {
      const auto a = static_cast<std::size_t>(axis);
      result += i % extents[a] * strides[a];
      i /= extents[a];
    }
    return result;
  }

 private:
  constexpr std::size_t last() const { return static_cast<std::size_t>(rank - 1); }
};

}  // namespace burrow::detail
