// The flat store of a built model's parameters, as tapes and optimizers know it.
#pragma once

#include <span>

#include <burrow/core/memory.hpp>
#include <burrow/core/shape.hpp>

namespace burrow::detail {

/// Elements [begin, end) of a flat store.
struct ParameterRange {
  Index begin, end;
};

/// Whether a tape differentiates the parameters of a store now; suspended inside `checkpoint`.
enum class Recording { off, on, suspended };

/// The flat parameters of a built model, as a tape knows them.
struct ParameterStore {
  Storage storage;
  Index size = 0;
  Recording recording = Recording::off;
  std::span<const ParameterRange> differentiated = {};  // all of the store where empty
  bool met = false;                                     // a differentiated parameter was used while suspended

  bool differentiates(Index offset) const {
    return recording != Recording::off && contains(differentiated, offset);
  }
  static bool contains(std::span<const ParameterRange> ranges, Index offset) {
    for (const auto& range : ranges)
      if (range.begin <= offset && offset < range.end) return true;
    return ranges.empty();
  }
};

}  // namespace burrow::detail
