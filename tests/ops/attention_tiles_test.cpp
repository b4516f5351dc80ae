// How attention is cut on a CUDA device: arithmetic that needs none.
#include <burrow/ops/attention/cuda_tiles.hpp>
#include <catch2/catch.hpp>

#include <set>
#include <vector>

using namespace burrow;
using namespace burrow::cuda;
using burrow::detail::AttentionExtents;

namespace {

std::vector<AttentionTile> all_tiles() {
  std::vector<AttentionTile> all;
  for (const int bytes : {2, 4})
    for (const int width : {32, 64, 128}) all.push_back(AttentionTile::of(bytes, width));
  all.push_back(AttentionTile::of_positions(2, 128));
  return all;
}

AttentionExtents extents(Index batch, Index queries, Index memory, Index heads, Index width) {
  return {batch, queries, queries + memory, heads, width, heads};
}

}  // namespace

TEST_CASE("heads are padded to the narrowest tile", "[attention]") {
  CHECK(tile_width(1) == 32);
  CHECK(tile_width(32) == 32);
  CHECK(tile_width(33) == 64);
  CHECK(tile_width(128) == 128);
  CHECK(tile_width(129) == 0);
}

TEST_CASE("tiles are whole fragments, and rows begin at multiples of 16 bytes in different banks",
          "[attention]") {
  for (const auto& tile : all_tiles()) {
    CAPTURE(tile.element_bytes, tile.width);
    CHECK(tile.rows % 16 == 0);
    CHECK(tile.columns % 16 == 0);
    CHECK(tile.warps() * 16 == tile.rows);
    CHECK(tile.warps() % (tile.columns / 16) == 0);
    for (const int stride : {tile.stride(), tile.column_stride(), tile.skewed_stride()}) {
      CHECK(stride * tile.element_bytes % 16 == 0);
      std::set<int> banks;  // of the 16 bytes that eight rows are read with
      for (int row = 0; row < 8; ++row) banks.insert(row * stride * tile.element_bytes / 16 % 8);
      CHECK(banks.size() == 8);
    }
  }
}

TEST_CASE("shared memory suffices on devices with 163 KiB for a block", "[attention]") {
  for (const auto& tile : all_tiles()) {
    CAPTURE(tile.element_bytes, tile.width);
    for (const bool relative : {false, true})
      for (const int bytes : {tile.forward_bytes(relative), tile.query_gradient_bytes(relative),
                              tile.key_gradient_bytes(relative), tile.position_gradient_bytes()}) {
        CHECK(bytes <= 163 << 10);
        CHECK(bytes % 16 == 0);
      }
    CHECK(tile.forward_bytes(true) <= 99 << 10);  // what GeForce cards have
    if (tile.width <= (tile.element_bytes == 2 ? 64 : 32))
      for (const int bytes :
           {tile.query_gradient_bytes(true), tile.key_gradient_bytes(true), tile.position_gradient_bytes()})
        CHECK(bytes <= 99 << 10);
  }
}

TEST_CASE("two blocks of every kernel of narrow types fit a multiprocessor of compute capability 9.0",
          "[attention]") {
  for (const int width : {32, 64, 128}) {
    const auto tile = AttentionTile::of(2, width), position_tile = AttentionTile::of_positions(2, width);
    CAPTURE(width);
    CHECK(position_tile.columns == tile.columns);
    for (const int bytes : {tile.forward_bytes(true), tile.query_gradient_bytes(true),
                            tile.key_gradient_bytes(true), position_tile.position_gradient_bytes()}) {
      CHECK(AttentionTile::resident(bytes, 2) == 2);
      CHECK(2 * (bytes + 1024) <= 228 << 10);
    }
    CHECK(tile.left_stride() >= 2 * tile.columns + tile.padding());  // one row holds both left factors
    CHECK(tile.left_stride() * tile.element_bytes % 16 == 0);
    CHECK(tile.left_stride() / 2 * tile.element_bytes % 16 == 0);
  }
  CHECK(AttentionTile::resident(AttentionTile::of_positions(2, 128).position_gradient_bytes(), 3) == 3);
  CHECK(AttentionTile::resident(300 << 10, 3) == 1);
}

TEST_CASE("a skewed product lies under its key, and under its distance", "[attention]") {
  for (const auto& tile : all_tiles())
    for (const Index memory : {Index{0}, Index{5}, Index{200}})
      for (const Index query : {Index{0}, Index{64}, Index{192}})
        for (const Index column : {Index{0}, Index{64}, Index{128}})
          for (int a = 0; a < tile.rows; ++a)
            for (int b = 0; b < tile.columns; ++b) {
              const int c = strip_row(tile, a, b);
              REQUIRE(c >= 0);
              REQUIRE(c < tile.strip());
              const Index other = first_of_strip(tile, memory, query, column) - c;
              REQUIRE(other == query + a + memory - (column + b));
              const int warp = a / 16, within = c - warp_strip(tile.rows, warp);
              REQUIRE(within >= 0);
              REQUIRE(within < tile.skewed_columns());
              REQUIRE(column_of_skewed(a % 16, within) == b);
            }
}

TEST_CASE("a strip in a ring has the rows of every tile after one part of it is read anew", "[attention]") {
  for (const auto& tile : all_tiles())
    for (const bool along_keys : {true, false}) {
      StripRing ring{tile.strip()};
      std::vector<Index> stored(static_cast<std::size_t>(tile.strip()), -12345);
      Index query = 0, column = 0;
      for (int step = 0; step < 7; ++step) {
        const Index index = first_of_strip(tile, 100, query, column);
        const int begin = step == 0 || !along_keys ? 0 : tile.rows;
        const int end = step == 0 || along_keys ? tile.strip() : tile.rows;
        for (int c = begin; c < end; ++c) stored[static_cast<std::size_t>(ring.slot(c))] = index - c;
        for (int c = 0; c < tile.strip(); ++c)
          REQUIRE(stored[static_cast<std::size_t>(ring.slot(c))] == index - c);
        for (int c = 0; c < tile.strip(); c += 16) REQUIRE(ring.slot(c + 15) == ring.slot(c) + 15);
        (along_keys ? column : query) += along_keys ? tile.columns : tile.rows;
        ring.advance(tile.columns);
      }
    }
}

TEST_CASE("the tiles that are visited are those that the mask leaves", "[attention]") {
  for (const auto& tile : all_tiles())
    for (const Index queries : {1, 5, 63, 64, 65, 150})
      for (const Index memory : {0, 1, 64, 77}) {
        const auto e = extents(1, queries, memory, 1, tile.width);
        CAPTURE(tile.element_bytes, tile.width, queries, memory);
        for (Index query = 0; query < queries; query += tile.rows)
          for (Index column = 0; column < e.keys; column += tile.columns) {
            bool meets = false;
            for (Index i = query; i < std::min(query + tile.rows, queries); ++i)
              for (Index j = column; j < std::min(column + tile.columns, e.keys); ++j)
                meets |= j <= i + memory;
            REQUIRE(meets == (column < visible_columns(e, query, tile.rows)));
            REQUIRE(meets == (query >= first_tile_row(e, column, tile.rows)));
          }
      }
}

TEST_CASE("blocks of threads cover heads, items and tiles once, the longest first", "[attention]") {
  const auto e = extents(3, 150, 20, 5, 64);
  const auto tile = AttentionTile::of(2, 64);
  std::set<std::vector<Index>> seen;
  const auto by_query = QueryBlock::grid(e, tile, tile.forward_bytes(true));
  CHECK(by_query.threads == 128);
  Index before = 1000;
  for (Index x = 0; x < Index{by_query.x}; ++x) {
    const auto block = QueryBlock::of(e, tile, x);
    CHECK(block.query <= before);
    before = block.query;
    CHECK((block.item < 3 && block.head < 5 && block.query < 150 && block.query % 64 == 0));
    CHECK(seen.insert({block.item, block.head, block.query}).second);
  }
  CHECK(seen.size() == 3 * 5 * 3);
  seen.clear();
  before = 0;
  const auto by_column = ColumnBlock::grid(e, tile, 3, tile.key_gradient_bytes(true));
  for (Index x = 0; x < Index{by_column.x}; ++x) {
    const auto block = ColumnBlock::of(e, tile, 3, x);
    CHECK(block.column >= before);
    before = block.column;
    CHECK((block.slice < 3 && block.head < 5 && block.column < 170 && block.column % 64 == 0));
    CHECK(seen.insert({block.slice, block.head, block.column}).second);
  }
  CHECK(seen.size() == 3 * 5 * 3);
}

TEST_CASE("items are cut in parts where heads and distances alone leave the device idle", "[attention]") {
  const auto tile = AttentionTile::of(2, 64);
  CHECK(position_parts(extents(8, 2048, 0, 12, 64), tile) == 1);
  CHECK(position_parts(extents(64, 256, 0, 12, 64), tile) == 6);
  CHECK(position_parts(extents(2, 64, 0, 1, 64), tile) == 2);
}

TEST_CASE("chunks of keys cover the cache in pieces that threads share evenly", "[attention]") {
  for (const Index keys : {1, 63, 64, 65, 2048, 100000})
    for (const Index batch : {1, 7, 200}) {
      const auto e = extents(batch, 1, keys - 1, 12, 64);
      const auto split = KeyChunks::of(e);
      CAPTURE(keys, batch, split.length, split.chunks);
      CHECK(split.length % 64 == 0);
      CHECK(split.length * split.chunks >= keys);
      CHECK(split.length * (split.chunks - 1) < keys);
      CHECK(split.grid(e, 128).shared_bytes <= 48 << 10);
      CHECK(Index{split.grid(e, 128).x} == split.chunks * 12 * batch);
    }
  CHECK(KeyChunks::of(extents(1, 1, 2047, 12, 64)).chunks == 32);
}
