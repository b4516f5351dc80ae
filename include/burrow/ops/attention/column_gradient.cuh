// The gradients of attention on CUDA that are summed over queries, in tiles: a block of threads owns a tile
// of keys, or of distances, and takes the queries that meet it in order, so that each sum has one writer and
// a fixed order. Keys with a strip of distances and distances with a strip of keys differ in names only.
#pragma once

#include <burrow/ops/attention/query_gradient.cuh>

namespace burrow::cuda {

/// Where the sums over queries go. Those of keys and values are done; those of positions, [parts, keys,
/// width], and of biases, [tiles of columns and slices, width], are added up afterwards.
template <class T>
struct ColumnSums {
  T *keys = nullptr, *values = nullptr;
  float *positions = nullptr, *biases = nullptr;
};

constexpr AttentionTile column_tile(int element_bytes, int width, bool distances) {
  return distances ? AttentionTile::of_positions(element_bytes, width)
                   : AttentionTile::of(element_bytes, width);
}

/// A block's shared memory and what its warps add to.
template <class T, int Width, bool Distances>
class ColumnTile {
 public:
  static constexpr AttentionTile tile_of() { return column_tile(sizeof(T), Width, Distances); }
  using Tile = WarpTile<T, Width, column_tile(sizeof(T), Width, Distances).rows>;
  using F = Fragments<T>;
  static constexpr int warps = tile_of().warps(), left_stride = tile_of().left_stride();
  static constexpr int across = warps / (Tile::columns / 16);  // warps that share 16 columns
  static constexpr int groups = Width / 8 / across;            // of eight elements that a warp adds to

  __device__ explicit ColumnTile(bool relative)
      : content_{space_.take<T>(Tile::rows * Tile::stride)},
        out_gradient_{space_.take<T>(Tile::rows * Tile::stride)},
        straight_{space_.take<T>(Tile::columns * Tile::stride)},
        values_{space_.take<T>((Distances ? tile_of().strip() : Tile::columns) * Tile::stride)},
        column_sums_{space_.take<float>(warps * Tile::columns)},
        scores_{space_.take<float>(relative || Narrow<T> ? Tile::rows * Tile::score_stride : 0)},
        ds_{Narrow<T> ? reinterpret_cast<T*>(scores_) : space_.take<T>(Tile::rows * left_stride)},
        p_{Distances   ? nullptr
           : Narrow<T> ? ds_ + left_stride / 2
                       : space_.take<T>(Tile::rows * left_stride)},
        position_{space_.take<T>(relative ? Tile::rows * Tile::stride : 0)},
        strip_{space_.take<T>(relative ? tile_of().strip() * Tile::stride : 0)},
        relative_{relative} {}

  /// Reads the tile's own rows: keys and values, or positions.
  __device__ void own(const HeadView<T>& view, const detail::AttentionOperands<T>& in, Index column) {
    if constexpr (Distances) {
      copy_rows<Width>(view.position_rows(in.positions), column, Tile::columns, straight_);
    } else {
      copy_rows<Width>(view.key_rows(in.keys), column, Tile::columns, straight_);
      copy_rows<Width>(view.key_rows(in.values), column, Tile::columns, values_);
    }
  }

  /// Adds what the queries of one head of one item give.
  __device__ void add(const HeadView<T>& view, const detail::AttentionOperands<T>& in,
                      const BiasedQueries<T>& queries, const OutputGradient<T>& dy, Index column) {
    constexpr AttentionTile tile = tile_of();
    const auto& e = view.e;
    Tile warp{e, in.slopes == nullptr ? 0.0f : in.slopes[view.head],
              scores_ + Tile::warp() * AttentionTile::warp_rows * Tile::score_stride};
    StripRing ring{tile.strip()};
    const Index first = first_tile_row(e, column, tile.rows);
    for (Index query = first; query < e.queries; query += tile.rows) {
      __syncthreads();  // all have done with the tile before
      copy_rows<Width>(view.query_rows(queries.content), query, tile.rows, content_);
      copy_rows<Width>(view.query_rows(dy.values), query, tile.rows, out_gradient_);
      if (relative_) {
        copy_rows<Width>(view.query_rows(queries.position), query, tile.rows, position_);
        const Index index = first_of_strip(tile, e.memory(), query, column);
        const int end = query == first ? tile.strip() : tile.rows;
        if constexpr (Distances) {
          copy_strip<Width>(view.key_rows(in.keys), index, 0, end, ring, strip_);
          copy_strip<Width>(view.key_rows(in.values), index, 0, end, ring, values_);
        } else {
          copy_strip<Width>(view.position_rows(in.positions), index, 0, end, ring, strip_);
        }
      }
      commit_copies();
      wait_for_copies<0>();
      __syncthreads();
      differentiate(warp, view, dy, query, column, ring);
      __syncthreads();
      if constexpr (!Distances) add_product(value_sums_, p_, out_gradient_);
      add_product(sums_, ds_, Distances ? position_ : content_);
      ring.advance(tile.columns);
    }
  }

  /// Writes the sums of keys and values.
  __device__ void write(const HeadView<T>& view, const ColumnSums<T>& to, Index column) {
    const float scale = rsqrtf(static_cast<float>(view.e.head_width));
    write_rows_of(sums_, scale, content_, view.key_rows(to.keys), column);
    write_rows_of(value_sums_, 1.0f, out_gradient_, view.key_rows(to.values), column);
  }
  /// Writes the sums of positions of one part.
  __device__ void write_positions(const HeadView<T>& view, float* to, Index column) const {
    const auto& e = view.e;
    const float scale = rsqrtf(static_cast<float>(e.head_width));
#pragma unroll
    for (int n = 0; n < groups; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const Index distance = column + first_column() + sum_row(i);
        const int element = first_element() + sum_column(n, i);
        if (distance < e.keys && element < e.head_width)
          to[distance * e.width() + view.head * e.head_width + element] = sums_[n][i] * scale;
      }
  }
  /// Writes the tile's share of the gradient of a bias: the sums of the columns of dS times their rows.
  __device__ void write_bias(const HeadView<T>& view, float* to) {
    const auto& e = view.e;
#pragma unroll
    for (int n = 0; n < Tile::groups; ++n)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float sum = of_columns_[n][i];
        for (int bits = 4; bits < 32; bits *= 2) sum += __shfl_xor_sync(whole_warp, sum, bits);
        if (lane_of_warp() < 4) column_sums_[Tile::warp() * Tile::columns + sum_column(n, i)] = sum;
      }
    __syncthreads();
    const float scale = rsqrtf(static_cast<float>(e.head_width));
    for (int l = static_cast<int>(threadIdx.x); l < e.head_width; l += static_cast<int>(blockDim.x)) {
      float sum = 0;
      for (int b = 0; b < Tile::columns; ++b) {
        float of_column = 0;
        for (int w = 0; w < warps; ++w) of_column += column_sums_[w * Tile::columns + b];
        sum += of_column * static_cast<float>(straight_[b * Tile::stride + l]);
      }
      to[view.head * e.head_width + l] = sum * scale;
    }
  }

 private:
  __device__ static int first_column() { return Tile::warp() / across * 16; }
  __device__ static int first_element() { return Tile::warp() % across * (8 * groups); }

  /// Probabilities and gradients of scores of the warp's rows, to shared memory.
  __device__ void differentiate(Tile& warp, const HeadView<T>& view, const OutputGradient<T>& dy, Index query,
                                Index column, const StripRing& ring) {
    const int first_row = Tile::warp() * AttentionTile::warp_rows;
    typename Tile::Sums p = {}, ds = {};
    if (warp.start(query, column)) {
      float log_sums[2], of_rows[2];
      read_row_numbers(dy.log_sums + view.row_numbers(), query + first_row, view.e.queries, log_sums);
      read_row_numbers(dy.products + view.row_numbers(), query + first_row, view.e.queries, of_rows);
      if (relative_) warp.skewed(p, Distances ? content_ : position_, strip_, ring);
      Tile::straight(p, Distances ? position_ : content_, straight_);
      warp.probabilities(p, log_sums);
      if constexpr (Distances)
        warp.skewed(ds, out_gradient_, values_, ring);
      else
        Tile::straight(ds, out_gradient_, values_);
      differentiate_softmax(ds, p, of_rows);
#pragma unroll
      for (int n = 0; n < Tile::groups; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) of_columns_[n][i % 2] += ds[n][i];
    }
    __syncwarp();  // all lanes have read their scores
    if constexpr (!Distances) put_sums(p, 1.0f, 1.0f, p_ + first_row * left_stride, left_stride);
    put_sums(ds, 1.0f, 1.0f, ds_ + first_row * left_stride, left_stride);
  }

  /// sums += s^T x for the rows s and x of the tile, as far as they are the warp's.
  __device__ static void add_product(float (&sums)[groups][4], const T* s, const T* x) {
    const int columns = first_column(), elements = first_element();
    multiply_columns<T, Tile::rows>(
        sums, Tile::stride,
        [=](typename F::Left& left, int k) {
          F::left_transposed(left, s + k * left_stride + columns, left_stride);
        },
        [=](int k) { return x + k * Tile::stride + elements; });
  }

  __device__ static void write_rows_of(const float (&sums)[groups][4], float scale, T* room,
                                       const HeadRows<T>& to, Index column) {
    __syncthreads();
    put_sums(sums, scale, scale, room + first_column() * Tile::stride + first_element(), Tile::stride);
    __syncthreads();
    write_rows<Width>(room, to, column, Tile::columns, static_cast<int>(threadIdx.x),
                      static_cast<int>(blockDim.x));
  }

  SharedSpace space_;
  T *content_, *out_gradient_, *straight_, *values_;
  float *column_sums_, *scores_;
  T *ds_, *p_;
  T *position_, *strip_;
  bool relative_;
  float sums_[groups][4] = {}, value_sums_[groups][4] = {};
  float of_columns_[Tile::groups][2] = {};
};

template <class T, int Width>
__global__ void __launch_bounds__(
    AttentionTile::of(sizeof(T), Width).threads(),
    AttentionTile::resident(AttentionTile::of(sizeof(T), Width).key_gradient_bytes(true), 2))
    attention_key_gradient_tiles(detail::AttentionExtents e, detail::AttentionOperands<T> in, bool aligned,
                                 BiasedQueries<T> queries, OutputGradient<T> dy, ColumnSums<T> to) {
  constexpr AttentionTile tile = AttentionTile::of(sizeof(T), Width);
  const auto block = ColumnBlock::of(e, tile, e.batch, static_cast<Index>(blockIdx.x));
  const Index first_head = block.head * e.group();
  ColumnTile<T, Width, false> columns{in.positions != nullptr};
  const HeadView<T> view{e, block.slice, first_head, aligned};
  columns.own(view, in, block.column);
  for (Index head = first_head; head < first_head + e.group(); ++head)
    columns.add({e, block.slice, head, aligned}, in, queries, dy, block.column);
  columns.write(view, to, block.column);
  if (to.biases != nullptr)
    columns.write_bias(
        view,
        to.biases + (block.slice * tiles(e.keys, tile.columns) + block.column / tile.columns) * e.width());
}

/// Part p of `parts` takes items p, p + parts, ...
template <class T, int Width>
__global__ void __launch_bounds__(
    AttentionTile::of_positions(sizeof(T), Width).threads(),
    AttentionTile::resident(AttentionTile::of_positions(sizeof(T), Width).position_gradient_bytes(), 2))
    attention_position_gradient_tiles(detail::AttentionExtents e, detail::AttentionOperands<T> in,
                                      bool aligned, BiasedQueries<T> queries, OutputGradient<T> dy,
                                      Index parts, ColumnSums<T> to) {
  constexpr AttentionTile tile = AttentionTile::of_positions(sizeof(T), Width);
  const auto block = ColumnBlock::of(e, tile, parts, static_cast<Index>(blockIdx.x));
  ColumnTile<T, Width, true> columns{true};
  const HeadView<T> view{e, block.slice, block.head, aligned};
  columns.own(view, in, block.column);
  for (Index item = block.slice; item < e.batch; item += parts)
    columns.add({e, item, block.head, aligned}, in, queries, dy, block.column);
  columns.write_positions(view, to.positions + block.slice * e.keys * e.width(), block.column);
  columns.write_bias(
      view,
      to.biases + (block.slice * tiles(e.keys, tile.columns) + block.column / tile.columns) * e.width());
}

/// Starts the kernel that adds the biases.
template <class T>
BiasedQueries<T> start_biased_queries(const detail::AttentionExtents& e,
                                      const detail::AttentionOperands<T>& in, T* content, T* position) {
  constexpr int each = elements_per_access<T>;
  const Index count = e.batch * e.queries * e.width();
  const int multiprocessors = Context::instance().multiprocessors();
  const char* const name = "the gradient of attention";
  if (rows_are_aligned<T>(e.width(), in.queries, in.content_bias, in.position_bias))
    launch(name, attention_biased_queries<each, T>, striding_grid(count / each, multiprocessors), count,
           e.width(), in, content, position);
  else
    launch(name, attention_biased_queries<1, T>, striding_grid(count, multiprocessors), count, e.width(), in,
           content, position);
  return {content, position};
}

/// Starts the backward kernels for heads of at most Width elements.
template <int Width, class T>
void start_backward_tiles(const detail::AttentionExtents& e, const detail::AttentionOperands<T>& in,
                          bool aligned, const OutputGradient<T>& dy,
                          const detail::AttentionGradients<T>& gradients) {
  constexpr AttentionTile tile = AttentionTile::of(sizeof(T), Width);
  const char* const name = "the gradient of attention";
  const bool relative = in.positions != nullptr;
  const Index query_elements = e.batch * e.queries * e.width(),
              query_bytes = query_elements * Index{sizeof(T)};
  const Buffer<Cuda> content{relative ? query_bytes : 0}, position{relative ? query_bytes : 0};
  const BiasedQueries<T> queries = relative ? start_biased_queries(e, in, static_cast<T*>(content.data()),
                                                                   static_cast<T*>(position.data()))
                                            : BiasedQueries<T>{in.queries, nullptr};
  launch(name, attention_query_gradient_tiles<T, Width>,
         QueryBlock::grid(e, tile, tile.query_gradient_bytes(relative)), e, in, aligned, queries, dy,
         gradients.queries);
  const Index column_tiles = tiles(e.keys, tile.columns),
              numbers = relative ? e.width() * Index{sizeof(float)} : 0;
  const Buffer<Cuda> content_parts{e.batch * column_tiles * numbers};
  auto* const content_sums = static_cast<float*>(content_parts.data());
  launch(name, attention_key_gradient_tiles<T, Width>,
         ColumnBlock::grid(e, tile, e.batch, tile.key_gradient_bytes(relative)), e, in, aligned, queries, dy,
         ColumnSums<T>{gradients.keys, gradients.values, nullptr, content_sums});
  if (!relative) return;
  constexpr AttentionTile position_tile = AttentionTile::of_positions(sizeof(T), Width);
  const Index parts = position_parts(e, position_tile);
  const Buffer<Cuda> position_parts{parts * e.keys * numbers}, bias_parts{parts * column_tiles * numbers};
  auto* const position_sums = static_cast<float*>(position_parts.data());
  auto* const bias_sums = static_cast<float*>(bias_parts.data());
  launch(name, attention_position_gradient_tiles<T, Width>,
         ColumnBlock::grid(e, position_tile, parts, position_tile.position_gradient_bytes()), e, in, aligned,
         queries, dy, parts, ColumnSums<T>{nullptr, nullptr, position_sums, bias_sums});
  start_sum_of_rows(name, position_sums, parts, e.keys * e.width(), gradients.positions);
  start_sum_of_rows(name, content_sums, e.batch * column_tiles, e.width(), gradients.content_bias);
  start_sum_of_rows(name, bias_sums, parts * column_tiles, e.width(), gradients.position_bias);
}

}  // namespace burrow::cuda
