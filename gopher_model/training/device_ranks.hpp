// Who adds gradients over the data ranks, by the memory that they lie in.
#pragma once

#include "gopher_model/training/ranks.hpp"

namespace gopher {

/// The communicator that a run's optimizer is divided by, and of(ranks), what `Sharded` takes for it: on the
/// CPU the processes themselves.
template <class D>
struct DeviceRanks {
  using communicator = World;
  static const Ranks& of(const Ranks& ranks) { return ranks; }
};

}  // namespace gopher
