// Where a device has its own way through the micro-batches of a step.
#pragma once

namespace gopher {

/// Passes that a device captures and replays; `exist` says whether it does. The CPU makes them one by one.
template <class Policy>
struct DevicePasses {
  static constexpr bool exist = false;
};

}  // namespace gopher
