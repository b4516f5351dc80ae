// How attention is cut into tiles on a CUDA device, as plain arithmetic: the sizes of tiles, what they take
// of shared memory, which tiles meet, the skew between keys and distances, and grids. Kernels and host use
// it.
#pragma once

#include <burrow/core/launch.hpp>
#include <burrow/ops/attention/extents.hpp>

namespace burrow::cuda {

/// Head widths that kernels with tiles are compiled for; narrower heads are padded with zeros. 0 where the
/// head is too wide for them.
constexpr int tile_width(Index head_width) {
  return head_width <= 32 ? 32 : head_width <= 64 ? 64 : head_width <= 128 ? 128 : 0;
}

/// A tile of scores: `rows` queries by `columns` keys, or by distances. A warp takes 16 of the rows. In
/// shared memory, rows are 16 bytes longer than what they hold, so that eight rows lie in different banks.
struct AttentionTile {
  int element_bytes, width;  // of operands; of a head with its padding
  int rows, columns;

  static constexpr int warp_rows = 16;

  /// That of a kernel for operands of so many bytes and heads of so much width.
  static constexpr AttentionTile of(int element_bytes, int width) {
    const bool narrow = element_bytes == 2;
    if (!narrow && width > 64) return {element_bytes, width, 32, 16};
    return {element_bytes, width, 64, narrow && width <= 64 ? 64 : 32};
  }
  /// That of the kernel of the positions' gradients: with fewer rows for the widest narrow heads, of which
  /// three blocks fit a multiprocessor then, instead of one.
  static constexpr AttentionTile of_positions(int element_bytes, int width) {
    AttentionTile tile = of(element_bytes, width);
    if (element_bytes == 2 && width > 64) tile.rows = 32;
    return tile;
  }
  constexpr int warps() const { return rows / warp_rows; }
  constexpr unsigned threads() const { return 32 * static_cast<unsigned>(warps()); }
  constexpr int padding() const { return 16 / element_bytes; }
  /// Elements from one row of an operand, of scores as operands, of gradients by the skewed index, to the
  /// next; numbers from one row of scores in fp32 to the next.
  constexpr int stride() const { return width + padding(); }
  constexpr int column_stride() const { return columns + padding(); }
  constexpr int skewed_stride() const { return skewed_columns() + padding(); }
  constexpr int score_stride() const { return columns + 8; }
  /// Rows of the strip that the skewed index of a tile runs over, of which a warp's rows reach
  /// `skewed_columns`.
  constexpr int strip() const { return rows + columns; }
  constexpr int skewed_columns() const { return warp_rows + columns; }

  /// Bytes of `count` rows of an operand in shared memory.
  constexpr int operand_bytes(int count) const { return count * stride() * element_bytes; }
  constexpr int score_bytes() const { return rows * score_stride() * 4; }
  /// Shared memory of the forward kernel: queries with each bias, keys, values, the strip of positions, and
  /// scores where they pass through it, for positions and for products of fp32.
  constexpr int forward_bytes(bool relative) const {
    return operand_bytes(rows + 2 * columns + (relative ? rows + strip() : 0)) +
           (relative || element_bytes == 4 ? score_bytes() : 0);
  }
  /// That of the kernel of the queries' gradients: in addition the gradients of outputs and, where products
  /// or the skew need them, of scores.
  constexpr int query_gradient_bytes(bool relative) const {
    return operand_bytes(2 * rows + 2 * columns + (relative ? rows + strip() : 0)) +
           (relative ? score_bytes() : 0) +
           rows * element_bytes *
               ((element_bytes == 4 ? column_stride() : 0) + (relative ? skewed_stride() : 0));
  }
  /// Elements from one row to the next of what the kernels of sums over queries multiply from the left:
  /// probabilities and gradients of scores. Of narrow types both lie in the row of their scores, which nobody
  /// needs any more.
  constexpr int left_stride() const { return element_bytes == 2 ? 2 * score_stride() : column_stride(); }
  /// Bytes of scores, where they are used, and of `arrays` such operands.
  constexpr int left_bytes(bool relative, int arrays) const {
    return element_bytes == 2
               ? score_bytes()
               : (relative ? score_bytes() : 0) + arrays * rows * left_stride() * element_bytes;
  }
  /// That of the kernel of the gradients of keys and values.
  constexpr int key_gradient_bytes(bool relative) const {
    return operand_bytes(2 * rows + 2 * columns + (relative ? rows + strip() : 0)) + left_bytes(relative, 2) +
           column_sum_bytes();
  }
  /// That of the kernel of the positions' gradients: strips of keys and of values.
  constexpr int position_gradient_bytes() const {
    return operand_bytes(3 * rows + columns + 2 * strip()) + left_bytes(true, 1) + column_sum_bytes();
  }
  constexpr int column_sum_bytes() const { return warps() * columns * 4; }

  /// Blocks that a multiprocessor is to hold at once: as many as shared memory allows (228 KiB on compute
  /// capability 9.0, 1 KiB of each block the system's), and no more than `most`: of blocks of 128 threads,
  /// two leave every thread 255 registers, three 168.
  static constexpr int resident(int shared_bytes, int most) {
    const int fitting = (228 << 10) / (shared_bytes + 1024);
    return fitting < 1 ? 1 : fitting < most ? fitting : most;
  }
};

/// The skew. Query i is i + memory - j behind key j, and at distance x it meets key i + memory - x: the same
/// formula both ways. So a tile's columns may be keys, with a strip of distances, or distances, with a strip
/// of keys. Strip row c of the tile whose first query is `query` and whose first column is `column` is that
/// of index `first_of_strip - c`; row a and column b of the tile meet at strip row `strip_row`.
constexpr Index first_of_strip(const AttentionTile& tile, Index memory, Index query, Index column) {
  return query + tile.rows - 1 + memory - column;
}
/// Where row a and column b of a tile meet in its strip.
constexpr int strip_row(const AttentionTile& tile, int a, int b) { return tile.rows - 1 - a + b; }
/// The first strip row of the 16 rows of a warp, in a tile of `rows`.
constexpr int warp_strip(int rows, int warp) { return rows - AttentionTile::warp_rows * (warp + 1); }
/// The column at which strip row `first + c` is for row a of a warp.
constexpr int column_of_skewed(int a, int c) { return c - (AttentionTile::warp_rows - 1) + a; }
/// The strip row, from `first` on, that column b is for row a of a warp.
constexpr int skewed_of_column(int a, int b) { return b + (AttentionTile::warp_rows - 1) - a; }

/// The strip of successive tiles, in place: each tile reads anew what its predecessor has not, and finds its
/// row c in slot(c). Multiples of 16 rows lie together.
struct StripRing {
  int size;
  int shift = 0;
  /// Where row c of the strip lies.
  constexpr int slot(int c) const { return c + shift < size ? c + shift : c + shift - size; }
  /// For the next tile, `columns` columns or as many rows as the strip has besides, further on.
  constexpr void advance(int columns) { shift = (shift + columns) % size; }
};

/// How many tiles of a size cover `count`.
constexpr Index tiles(Index count, Index size) { return (count + size - 1) / size; }

/// Columns (keys, or distances) that any of the `rows` queries from `query` on sees.
constexpr Index visible_columns(const detail::AttentionExtents& e, Index query, int rows) {
  const Index last = query + rows < e.queries ? query + rows : e.queries;
  return last + e.memory();
}
/// The first query of the first tile of rows that sees column `column`.
constexpr Index first_tile_row(const detail::AttentionExtents& e, Index column, int rows) {
  const Index first = column > e.memory() ? column - e.memory() : 0;
  return first / rows * rows;
}

/// One block of threads to each tile of queries, of heads and items; it is number `x` of `grid`. The longest
/// rows come first.
struct QueryBlock {
  Index item, head, query;

  /// One block to each tile of queries.
  static constexpr Grid grid(const detail::AttentionExtents& e, const AttentionTile& tile, int shared_bytes) {
    return {static_cast<unsigned>(tiles(e.queries, tile.rows) * e.heads * e.batch), 1, 1, tile.threads(),
            static_cast<unsigned>(shared_bytes)};
  }
  /// What block x has.
  static constexpr QueryBlock of(const detail::AttentionExtents& e, const AttentionTile& tile, Index x) {
    const Index units = e.heads * e.batch, unit = x % units;
    return {unit / e.heads, unit % e.heads, (tiles(e.queries, tile.rows) - 1 - x / units) * tile.rows};
  }
};

/// One block of threads to each tile of columns, of heads of keys and items, or of parts of the items. The
/// longest columns come first.
struct ColumnBlock {
  Index slice, head, column;

  /// One block to each tile of columns.
  static constexpr Grid grid(const detail::AttentionExtents& e, const AttentionTile& tile, Index slices,
                             int shared_bytes) {
    return {static_cast<unsigned>(tiles(e.keys, tile.columns) * e.key_heads * slices), 1, 1, tile.threads(),
            static_cast<unsigned>(shared_bytes)};
  }
  /// What block x has.
  static constexpr ColumnBlock of(const detail::AttentionExtents& e, const AttentionTile& tile, Index slices,
                                  Index x) {
    const Index units = e.key_heads * slices, unit = x % units;
    return {unit / e.key_heads, unit % e.key_heads, x / units * tile.columns};
  }
};

/// In how many parts the items are cut whose gradients of positions are summed, so that the device has work:
/// it depends on extents only.
constexpr Index position_parts(const detail::AttentionExtents& e, const AttentionTile& tile) {
  constexpr Index wanted = 256;
  const Index blocks = tiles(e.keys, tile.columns) * e.key_heads;
  return std::clamp<Index>(tiles(wanted, std::max<Index>(blocks, 1)), 1, std::max<Index>(e.batch, 1));
}

/// Few queries, as in decoding: the keys are cut in `chunks` of `length`, one block of threads to each of
/// them for each head and item. It depends on extents only.
struct KeyChunks {
  static constexpr Index most_queries = 4;
  Index length, chunks;

  /// The chunks of an attention.
  static constexpr KeyChunks of(const detail::AttentionExtents& e) {
    constexpr Index wanted = 512, step = 64, longest = 1024;
    const Index cuts = tiles(wanted, std::max<Index>(e.batch * e.heads, 1));
    const Index length = std::clamp(tiles(tiles(e.keys, cuts), step) * step, step, longest);
    return {length, tiles(e.keys, length)};
  }
  /// Every head of every query: the rows that chunks add to.
  static constexpr Index rows(const detail::AttentionExtents& e) { return e.batch * e.heads * e.queries; }
  /// One block to each chunk of each head and item.
  constexpr Grid grid(const detail::AttentionExtents& e, int width) const {
    constexpr int warps = 4;
    const Index numbers = most_queries * (length + warps * width);
    return {static_cast<unsigned>(chunks * e.heads * e.batch), 1, 1, 32 * warps,
            static_cast<unsigned>(numbers * Index{sizeof(float)})};
  }
};

/// What the threads of a block move: pieces of 16 bytes, `per_row` to a row.
struct RowPiece {
  int row, element;
  /// What piece number `piece` is of rows of a width.
  static constexpr RowPiece of(int piece, int width, int per_piece) {
    const int per_row = width / per_piece;
    return {piece / per_row, piece % per_row * per_piece};
  }
};

}  // namespace burrow::cuda
