// The check of integers that name rows: token ids and targets.
#pragma once

#include <burrow/tensor/tensor.hpp>

namespace burrow::detail {

template <class T>
concept IndexElement = std::integral<T> && !std::same_as<T, bool>;

/// What integers that name rows are: how many are not negative, and the first that names none.
struct IndexScan {
  Index counted;
  Index refused_at;  // -1 where all name a row
  Index refused;
};

/// Looks for an index that is not below `limit`, or is negative where that is not allowed.
template <IndexElement I>
IndexScan scan_indices(const I* indices, Index count, Index limit, bool negative_allowed) {
  IndexScan scan{0, -1, 0};
  for (Index i = 0; i < count; ++i) {
    const auto index = static_cast<Index>(indices[i]);
    if (index >= limit || (index < 0 && !negative_allowed)) return {scan.counted, i, index};
    scan.counted += index >= 0 ? 1 : 0;
  }
  return scan;
}

/// The axis that indices are of, for messages; none, where `number` is negative.
struct IndexedAxis {
  Index number = -1;
  std::span<const Index> extents{};
};

[[noreturn, gnu::cold, gnu::noinline]] inline void index_is_refused(const char* operation, const char* what,
                                                                    const IndexScan& scan,
                                                                    std::span<const Index> extents,
                                                                    Index limit, Location where,
                                                                    const IndexedAxis& axis) {
  std::string position;
  Index i = scan.refused_at;
  for (std::size_t k = extents.size(); k-- > 0; i /= extents[k])
    position = std::to_string(i % extents[k]) + (position.empty() ? "" : ", ") + position;
  std::string text = std::string(operation) + ": " + what + ' ' + std::to_string(scan.refused) +
                     " at position (" + position + ") of " + shape_text(extents.data(), extents.size()) +
                     " is not in [0, " + std::to_string(limit) + ')';
  if (axis.number >= 0)
    text += ", axis " + std::to_string(axis.number) + " of " +
            shape_text(axis.extents.data(), axis.extents.size());
  throw ValueError(text + at(where));
}

/// Throws ValueError at the first of row-major `indices` that is not below `limit`, or is negative where that
/// is not allowed; `what` says in one word what they are to the operation. A device may throw later: at the
/// next wait for it. Until then the operation meets indices that name no row.
template <IndexElement I, class S>
void check_indices(Cpu, const char* operation, const char* what, const I* indices, const S& shape,
                   Index limit, bool negative_allowed, Location where, const IndexedAxis& axis = {}) {
  const IndexScan scan = scan_indices(indices, shape.size(), limit, negative_allowed);
  if (scan.refused_at >= 0) index_is_refused(operation, what, scan, shape.values(), limit, where, axis);
}
/// The same where negative ones are allowed, and how many are not negative; a device keeps the number.
template <IndexElement I, class S>
Index count_indices(Cpu, const char* operation, const char* what, const I* indices, const S& shape,
                    Index limit, Location where) {
  const IndexScan scan = scan_indices(indices, shape.size(), limit, true);
  if (scan.refused_at >= 0) index_is_refused(operation, what, scan, shape.values(), limit, where, {});
  return scan.counted;
}

}  // namespace burrow::detail
