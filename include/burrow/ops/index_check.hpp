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

/// What integers that name rows are: how many are not negative, and the first that names none.
struct IndexScan {
  Index counted;
  Index refused_at;  // -1 where all name a row
  Index refused;
};

/// Looks for an index that is not below `limit`, or is negative where that is not allowed.
template <IndexElement I>
IndexScan scan_indices(Cpu, const I* indices, Index count, Index limit, bool negative_allowed) {
  IndexScan scan{0, -1, 0};
  for (Index i = 0; i < count; ++i) {
    const auto index = static_cast<Index>(indices[i]);
    if (index >= limit || (index < 0 && !negative_allowed)) return {scan.counted, i, index};
    scan.counted += index >= 0 ? 1 : 0;
  }
  return scan;
}

/// Throws ValueError at the first of row-major `indices` that is not below `limit`, or is negative where that
/// is not allowed; `axis` says of what they are indices. Returns how many are not negative.
template <class D, IndexElement I, class S>
Index check_indices(D device, const std::string& what, const I* indices, const S& shape, Index limit,
                    bool negative_allowed, Location where, const std::string& axis = "") {
  const IndexScan scan = scan_indices(device, indices, shape.size(), limit, negative_allowed);
  if (scan.refused_at >= 0)
    throw ValueError(what + " " + std::to_string(scan.refused) + " at position " +
                     position_text(scan.refused_at, shape.values()) + " of " + shape.text() +
                     " is not in [0, " + std::to_string(limit) + ")" + axis + at(where));
  return scan.counted;
}

}  // namespace burrow::detail
