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

/// Into how many parts `work` is cut, of at least `least` each, where `blocks` blocks take one part each.
constexpr Index reduction_parts(Index work, Index least, Index blocks) {
  constexpr Index enough_blocks = 512, most = 1024;
  const Index wanted = (enough_blocks + blocks - 1) / std::max<Index>(blocks, 1);
  return std::clamp<Index>(std::min(wanted, work / std::max<Index>(least, 1)), 1, most);
}

/// How a reduction is cut: block (x, y) takes part y of the work of some results, `part` pieces or rows of
/// it. The parts, and so the order of all sums, depend on the extents alone.
struct ReductionGrid {
  static constexpr Index threads = 256, column_lanes = 32, row_lanes = threads / column_lanes;

  Grid grid;
  Index parts = 1, part = 1;
  int team = 32;  ///< threads that share a result, where rows are reduced: a warp, or all of a block

  /// `kept` results, in each of which `pieces` pieces meet.
  static constexpr ReductionGrid of_rows(Index kept, Index pieces) {
    const Index parts = reduction_parts(pieces, 1024, kept), part = share(pieces, parts);
    const int team = part <= 4 * 32 ? 32 : static_cast<int>(threads);
    const Index teams = threads / team;
    return {grid_of((kept + teams - 1) / teams, parts), parts, part, team};
  }
  /// `kept` rows of results, of `pieces` pieces each, in which `meeting` rows meet.
  static constexpr ReductionGrid of_columns(Index kept, Index pieces, Index meeting) {
    const Index blocks = kept * ((pieces + column_lanes - 1) / column_lanes);
    const Index parts = reduction_parts(meeting, 4 * row_lanes, blocks);
    return {grid_of(blocks, parts), parts, share(meeting, parts)};
  }

 private:
  static constexpr Index share(Index work, Index parts) {
    return std::max<Index>(1, (work + parts - 1) / parts);
  }
  static constexpr Grid grid_of(Index blocks, Index parts) {
    constexpr Index most_blocks = Index{1} << 20;
    return {static_cast<unsigned>(std::clamp<Index>(blocks, 1, most_blocks)), static_cast<unsigned>(parts), 1,
            static_cast<unsigned>(threads)};
  }
};

/// Pieces of rows whose columns are summed, one to a row of blocks; a second kernel adds the pieces.
constexpr Index column_sum_pieces(Index rows) { return std::clamp<Index>(rows / 64, 1, 128); }
/// The grid of the first kernel: a block of 256 threads to 32 columns of a piece.
constexpr Grid column_sum_grid(Index rows, Index width) {
  return {static_cast<unsigned>((width + 31) / 32), static_cast<unsigned>(column_sum_pieces(rows)), 1, 256};
}
/// That of the second: a block to 32 columns, a warp to each of the pieces, or of 32 shares of them.
constexpr Grid combine_sums_grid(Index width, Index pieces) {
  return {static_cast<unsigned>((width + 31) / 32), 1, 1,
          static_cast<unsigned>(32 * std::clamp<Index>(pieces, 1, 32))};
}
/// Pieces of rows that a block of threads holds one after the other, a thread to the same columns of each.
constexpr Index held_row_pieces(Index rows) { return std::clamp<Index>(rows / 8, 1, 1024); }

}  // namespace burrow::cuda
