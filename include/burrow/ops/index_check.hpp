// The check of integers that name rows: token ids and targets.
#pragma once

#include <burrow/tensor/tensor.hpp>

namespace burrow::detail {

template <class T>
concept IndexElement = std::integral<T> && !std::same_as<T, bool>;

/// "(1, 4)": the coordinates of row-major element i.
template <std::size_t Rank>
std::string position_text(Index i, const std::array<Index, Rank>& extents) {
  std::string text;
  for (std::size_t axis = Rank; axis-- > 0;) {
    text = std::to_string(i % extents[axis]) + (text.empty() ? "" : ", ") + text;
    i /= extents[axis];
  }
  return "(" + text + ")";
}

/// Throws ValueError at the first of row-major `indices` that is not below `limit`, or is negative where that
/// is not allowed. Returns how many are not negative.
template <IndexElement I, class S>
Index check_indices(Cpu, const std::string& what, const I* indices, const S& shape, Index limit,
                    bool negative_allowed, Location where) {
  Index count = 0;
  for (Index i = 0; i < shape.size(); ++i) {
    const auto index = static_cast<Index>(indices[i]);
    if (index >= limit || (index < 0 && !negative_allowed))
      throw ValueError(what + " " + std::to_string(index) + " at position " +
                       position_text(i, shape.values()) + " of " + shape.text() + " is not in [0, " +
                       std::to_string(limit) + ")" + at(where));
    count += index >= 0 ? 1 : 0;
  }
  return count;
}

}  // namespace burrow::detail
