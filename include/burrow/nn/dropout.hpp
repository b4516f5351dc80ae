// Dropout as a layer without parameters or hidden state: the call with a key drops, the one without does not.
#pragma once

#include <burrow/ops/dropout/dropout.hpp>

namespace burrow {

/// layer(x, key) is `dropout(x, key, rate)` for training; layer(x) is x, for inference. The key is the
/// caller's: fold the step into one key for each step, and the number of the layer where a key serves
/// several, as `Sequential` and `Repeat` do. In a rematerialised block the same elements are dropped again.
struct Dropout {
  double rate = 0.1;

  auto operator()(const auto& x) const { return x; }
  auto operator()(const auto& x, Key key) const { return dropout(x, key, rate); }
};

}  // namespace burrow
