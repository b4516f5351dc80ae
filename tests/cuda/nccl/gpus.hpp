// The GPUs of the processes that mpirun has started, one to each.
#pragma once

#include <cstdlib>

#include <burrow/distributed/nccl.cuh>

#include "tests/mpi/world.hpp"

namespace nccl_test {

/// Before any test, for a process keeps the GPU that it has first used.
inline const bool chosen = [] {
  const char* const number = std::getenv("OMPI_COMM_WORLD_LOCAL_RANK");
  if (number != nullptr) burrow::cuda::use_device(std::atoi(number));
  return true;
}();

inline const burrow::NcclCommunicator& gpus() {
  static const burrow::NcclCommunicator all{mpi_test::world()};
  return all;
}

}  // namespace nccl_test
