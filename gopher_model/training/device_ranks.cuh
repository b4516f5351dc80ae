// The GPUs of the data ranks, one to each process, which exchange through NCCL.
#pragma once

#include "gopher_model/training/device_ranks.hpp"

#ifdef BURROW_WITH_NCCL
#include <burrow/distributed/nccl.cuh>

namespace gopher {

template <>
struct DeviceRanks<burrow::Cuda> {
  using communicator = burrow::NcclCommunicator;
  static communicator of(const Ranks& ranks) {
    return ranks.data().size() > 1 ? communicator{ranks.data()} : communicator{};
  }
};

}  // namespace gopher
#endif
