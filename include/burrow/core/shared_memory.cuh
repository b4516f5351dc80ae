// The shared memory that a kernel's launch asks for.
#pragma once

#include <cstddef>

namespace burrow::cuda {

/// The first byte of the block's dynamic shared memory, aligned to 128 bytes; `Grid::shared_bytes` of it
/// exist.
__device__ inline std::byte* dynamic_shared() {
  extern __shared__ __align__(128) std::byte bytes_of_the_launch[];
  return bytes_of_the_launch;
}

}  // namespace burrow::cuda
