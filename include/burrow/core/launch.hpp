// How many blocks and threads a kernel runs with, as plain arithmetic that needs no device.
#pragma once

#include <algorithm>

#include <burrow/core/shape.hpp>

namespace burrow::cuda {

/// Blocks, threads in each, and bytes of shared memory asked for at the launch.
struct Grid {
  unsigned x = 1, y = 1, z = 1;
  unsigned threads = 1;
  unsigned shared_bytes = 0;
};

/// Threads of a block in elementwise kernels.
inline constexpr unsigned elementwise_threads = 256;

/// The grid of a loop in which every thread strides over `count` pieces: enough blocks to fill the device
/// several times over, no more than there are pieces, one at least.
constexpr Grid striding_grid(Index count, int multiprocessors, unsigned threads = elementwise_threads) {
  constexpr Index waves = 8;
  const Index needed = (count + threads - 1) / threads;
  return {static_cast<unsigned>(std::clamp<Index>(needed, 1, waves * multiprocessors)), 1, 1, threads};
}

/// The most threads of a block that works on a row.
inline constexpr Index most_row_threads = 512;

/// One block to each of `rows` rows, with as many whole warps as the width of a row needs, of which every
/// thread takes `each` elements at a time. More rows than blocks may be are strided over.
constexpr Grid row_grid(Index rows, Index width, Index each = 1) {
  constexpr Index warp = 32, most_blocks = Index{1} << 20;
  const Index pieces = (width + each - 1) / each;
  const Index threads = std::clamp<Index>((pieces + warp - 1) / warp * warp, warp, most_row_threads);
  return {static_cast<unsigned>(std::clamp<Index>(rows, 1, most_blocks)), 1, 1,
          static_cast<unsigned>(threads)};
}

}  // namespace burrow::cuda
