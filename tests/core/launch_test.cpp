// Grids of CUDA kernels: arithmetic that needs no device. Every size class has to stay within what a launch
// may ask for, and to take all of the work once.
#include <burrow/core/launch.hpp>
#include <catch2/catch.hpp>

#include <vector>

using namespace burrow;
using namespace burrow::cuda;

namespace {

/// One size of each class: nothing, less than a warp, about a block, about a device, more than 2^32.
std::vector<Index> sizes() {
  std::vector<Index> all{0, 1};
  for (int power = 3; power <= 40; power += power < 13 ? 1 : 3)
    for (const Index offset : {-1, 0, 1}) all.push_back((Index{1} << power) + offset);
  return all;
}

/// What every device from compute capability 7.0 on takes.
bool can_be_launched(const Grid& grid) {
  return grid.x >= 1 && grid.x <= 0x7fffffff && grid.y >= 1 && grid.y <= 65535 && grid.z == 1 &&
         grid.threads >= 1 && grid.threads <= 1024 && grid.shared_bytes <= (48 << 10);
}

Index ceiling(Index a, Index b) { return (a + b - 1) / b; }

}  // namespace

TEST_CASE("elementwise kernels fill the device and no more", "[cuda]") {
  for (const int multiprocessors : {1, 4, 108, 132, 148})
    for (const Index count : sizes()) {
      CAPTURE(multiprocessors, count);
      const auto grid = striding_grid(count, multiprocessors);
      CHECK(can_be_launched(grid));
      CHECK(grid.threads == elementwise_threads);
      CHECK(Index{grid.x} <= std::max<Index>(1, ceiling(count, grid.threads)));
      CHECK(Index{grid.x} <= 8 * multiprocessors);
      const Index resident = 8 * Index{multiprocessors} * grid.threads;
      if (count <= resident) CHECK(Index{grid.x} * grid.threads >= count);
      if (count > resident) CHECK(Index{grid.x} == 8 * multiprocessors);
    }
}

TEST_CASE("a row has a block of whole warps, as many as it can use", "[cuda]") {
  for (const Index rows : sizes())
    for (const Index width : sizes())
      for (const Index each : {1, 4, 8}) {
        const auto grid = row_grid(rows, width, each);
        const Index pieces = ceiling(width, each), threads = grid.threads;
        CAPTURE(rows, width, each);
        REQUIRE(can_be_launched(grid));
        const bool whole_warps = threads % 32 == 0 && threads <= most_row_threads,
                   enough = threads >= pieces || threads == most_row_threads,
                   no_more = threads == 32 || threads - 32 < pieces;
        REQUIRE((whole_warps && enough && no_more));
        REQUIRE(Index{grid.x} == std::clamp<Index>(rows, 1, Index{1} << 20));
      }
}

TEST_CASE("parts of a reduction are all of its work, and fill a device where there is enough", "[cuda]") {
  const auto check = [](const ReductionGrid& cut, Index work, Index blocks, Index least) {
    REQUIRE(can_be_launched(cut.grid));
    REQUIRE((Index{cut.grid.threads} == ReductionGrid::threads && Index{cut.grid.y} == cut.parts));
    REQUIRE(cut.parts * cut.part >= work);
    REQUIRE((cut.parts == 1 || cut.part >= least));
    const bool little = work < 2 * least, full = cut.parts * std::max<Index>(blocks, 1) >= 512;
    REQUIRE((little || full || cut.parts >= work / least));
  };
  for (const Index kept : sizes())
    for (const Index work : sizes()) {
      if (kept == 0) continue;  // nothing is launched
      CAPTURE(kept, work);
      const auto rows = ReductionGrid::of_rows(kept, work);
      check(rows, work, kept, 1024);
      REQUIRE((rows.team == 32 || rows.team == ReductionGrid::threads));
      REQUIRE((rows.team == 32) == (rows.part <= 128));
      const Index pieces = std::max<Index>(1, kept / 7);
      if (kept > (Index{1} << 20)) continue;  // no shape has so many rows and pieces
      check(ReductionGrid::of_columns(kept, pieces, work), work, kept * ceiling(pieces, 32), 32);
    }
}

TEST_CASE("the parts of a reduction depend on its extents, not on the device", "[cuda]") {
  static_assert(ReductionGrid::of_rows(1, Index{1} << 20).parts == 512);
  static_assert(ReductionGrid::of_rows(1, Index{1} << 18).parts == 256);
  static_assert(ReductionGrid::of_rows(32768, 256).parts == 1);
  static_assert(ReductionGrid::of_rows(32768, 96).team == 32);
  static_assert(ReductionGrid::of_columns(1, 256, 32768).parts == 64);
  static_assert(ReductionGrid::of_columns(1, 1, 31).parts == 1);
}

TEST_CASE("gradients of gains are summed in pieces of rows, all of which are combined", "[cuda]") {
  for (const Index rows : sizes())
    for (const Index width : {1, 31, 32, 33, 768, 4096, 32000, 1 << 20}) {
      CAPTURE(rows, width);
      const Index pieces = column_sum_pieces(rows), held = held_row_pieces(rows);
      const auto sums = column_sum_grid(rows, width);
      CHECK(can_be_launched(sums));
      CHECK(Index{sums.y} == pieces);
      CHECK(Index{sums.x} == ceiling(width, 32));
      CHECK((pieces == 1 || rows / pieces >= 64));
      CHECK((held == 1 || rows / held >= 8));
      CHECK(can_be_launched(row_grid(held, width, 8)));
      for (const Index count : {pieces, held}) {
        const auto combine = combine_sums_grid(width, count);
        CHECK(can_be_launched(combine));
        CHECK(Index{combine.x} == ceiling(width, 32));
        CHECK(Index{combine.threads} == 32 * std::min<Index>(count, 32));
      }
    }
}
