// Dropout as a layer without parameters or hidden state: the call with a key drops, the one without does not.
#pragma once

#include <burrow/ops/dropout/dropout.hpp>

namespace burrow {

/// layer(x, key) is `dropout(x, key, rate)` for training; layer(x) is x, for inference. The key is the
/// caller's: fold the step into one key for each step, and the number of the layer where a key serves
/// several, as `Sequential` and `Repeat` do. In a rematerialised block the same elements are dropped again.
struct Dropout {
  double rate = 0.1;
  detail::RowPart rows{};  ///< which of them the layer sees; set by `take_rows`

  auto operator()(const auto& x) const { return x; }
  auto operator()(const auto& x, RandomKey auto key, Location where = Location::here()) const {
    return detail::dropout(x, key, rate, rows, where);
  }
  /// The layer will see one of `parts` equal parts of the rows [..., rows, columns] of what it would see, and
  /// drops the same elements.
  void take_rows(int part, int parts) { rows = {part, parts}; }
};

}  // namespace burrow
