// The queries' gradient of attention on CUDA, in tiles: a block of threads takes the queries that it took
// forward, computes the probabilities of each tile again, and sums dQ = dS K + dZ R, where dZ is dS by
// distance.
#pragma once

#include <burrow/ops/attention/forward.cuh>
#include <burrow/ops/attention/rows.cuh>

namespace burrow::cuda {

/// Queries with each bias: the left factors of the scores' content and of their position.
template <class T>
struct BiasedQueries {
  const T *content, *position;
};

/// Each elements of all queries to a thread, with the biases.
template <int Each, class T>
__global__ void attention_biased_queries(Index count, Index width, detail::AttentionOperands<T> in,
                                         T* content, T* position) {
  const Index step = Index{gridDim.x} * blockDim.x;
  for (Index i = (Index{blockIdx.x} * blockDim.x + threadIdx.x) * Each; i < count; i += step * Each) {
    float query[Each];
    load_elements(in.queries + i, query);
    const auto put = [&](const T* bias, T* to) {
      float sums[Each];
      load_elements(bias + i % width, sums);
#pragma unroll
      for (int k = 0; k < Each; ++k) sums[k] += query[k];
      store_elements(to + i, sums);
    };
    put(in.content_bias, content);
    put(in.position_bias, position);
  }
}

/// Probabilities p and products dO V^T become the gradients of scores, to be divided by the root of the
/// head's width.
template <int N>
__device__ inline void differentiate_softmax(float (&products)[N][4], const float (&p)[N][4],
                                             const float (&of_rows)[2]) {
#pragma unroll
  for (int n = 0; n < N; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) products[n][i] = p[n][i] * (products[n][i] - of_rows[i / 2]);
}

/// The gradients of a warp's scores by the index of its strip: 16 rows of shared memory that are zero
/// elsewhere.
template <class T, int Width>
class SkewedGradients {
 public:
  using Tile = WarpTile<T, Width>;
  static constexpr int skewed_columns = AttentionTile::of(sizeof(T), Width).skewed_columns();
  static constexpr int stride = AttentionTile::of(sizeof(T), Width).skewed_stride();

  __device__ explicit SkewedGradients(T* room) : room_{room} {}

  /// Zeros where no gradient will be.
  __device__ void clear() {
    for (int i = lane_of_warp(); i < AttentionTile::warp_rows * stride; i += 32) room_[i] = T(0.0f);
  }

  /// sums += the gradients, by the skewed index, times the rows of the strip.
  template <int M>
  __device__ void multiply(float (&sums)[M][4], const typename Tile::Sums& gradients, const T* strip,
                           const StripRing& ring) {
    __syncwarp();
#pragma unroll
    for (int n = 0; n < Tile::groups; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        room_[sum_row(i) * stride + skewed_of_column(sum_row(i), sum_column(n, i))] = T(gradients[n][i]);
    __syncwarp();
    const int first = warp_strip(Tile::rows, Tile::warp());
    multiply_columns<T, skewed_columns>(
        sums, Tile::stride,
        [this](typename Fragments<T>::Left& left, int k) { Fragments<T>::left(left, room_ + k, stride); },
        [&](int k) { return strip + ring.slot(first + k) * Tile::stride; });
  }

 private:
  T* room_;
};

template <class T, int Width>
__global__ void __launch_bounds__(
    AttentionTile::of(sizeof(T), Width).threads(),
    AttentionTile::resident(AttentionTile::of(sizeof(T), Width).query_gradient_bytes(true), 2))
    attention_query_gradient_tiles(detail::AttentionExtents e, detail::AttentionOperands<T> in, bool aligned,
                                   BiasedQueries<T> queries, OutputGradient<T> dy, T* gradient) {
  constexpr AttentionTile tile = AttentionTile::of(sizeof(T), Width);
  constexpr int operand = tile.rows * tile.stride(), columns = tile.columns * tile.stride();
  using Tile = WarpTile<T, Width>;
  const auto block = QueryBlock::of(e, tile, static_cast<Index>(blockIdx.x));
  const HeadView<T> view{e, block.item, block.head, aligned};
  const bool relative = in.positions != nullptr;
  const int first_row = Tile::warp() * AttentionTile::warp_rows;
  SharedSpace shared;
  T* const content = shared.take<T>(operand);
  T* const out_gradient = shared.take<T>(operand);
  T* const keys = shared.take<T>(columns);
  T* const values = shared.take<T>(columns);
  T* const position = shared.take<T>(relative ? operand : 0);
  T* const strip = shared.take<T>(relative ? tile.strip() * tile.stride() : 0);
  float* const scores = shared.take<float>(relative ? tile.rows * tile.score_stride() : 0);
  T* const straight = shared.take<T>(Narrow<T> ? 0 : tile.rows * tile.column_stride());
  T* const skewed = shared.take<T>(0);

  copy_rows<Width>(view.query_rows(queries.content), block.query, tile.rows, content);
  copy_rows<Width>(view.query_rows(dy.values), block.query, tile.rows, out_gradient);
  if (relative) copy_rows<Width>(view.query_rows(queries.position), block.query, tile.rows, position);
  float log_sums[2], of_rows[2];
  read_row_numbers(dy.log_sums + view.row_numbers(), block.query + first_row, e.queries, log_sums);
  read_row_numbers(dy.products + view.row_numbers(), block.query + first_row, e.queries, of_rows);

  Tile warp{e, in.slopes == nullptr ? 0.0f : in.slopes[block.head], scores + first_row * tile.score_stride()};
  SkewedGradients<T, Width> by_strip{skewed + first_row * tile.skewed_stride()};
  if (relative) by_strip.clear();
  float sums[Width / 8][4] = {};
  StripRing ring{tile.strip()};
  const Index visible = visible_columns(e, block.query, tile.rows);
  for (Index begin = 0; begin < visible; begin += tile.columns) {
    __syncthreads();  // all have done with the tile before
    copy_rows<Width>(view.key_rows(in.keys), begin, tile.columns, keys);
    copy_rows<Width>(view.key_rows(in.values), begin, tile.columns, values);
    if (relative)
      copy_strip<Width>(view.position_rows(in.positions),
                        first_of_strip(tile, e.memory(), block.query, begin), begin == 0 ? 0 : tile.rows,
                        tile.strip(), ring, strip);
    commit_copies();
    wait_for_copies<0>();
    __syncthreads();
    if (warp.start(block.query, begin)) {
      typename Tile::Sums p = {}, ds = {};
      if (relative) warp.skewed(p, position, strip, ring);
      Tile::straight(p, content, keys);
      warp.probabilities(p, log_sums);
      Tile::straight(ds, out_gradient, values);
      differentiate_softmax(ds, p, of_rows);
      multiply_scores<T, Width>(sums, ds, keys, straight + first_row * tile.column_stride(),
                                tile.column_stride());
      if (relative) by_strip.multiply(sums, ds, strip, ring);
    }
    ring.advance(tile.columns);
  }

  const float scale = rsqrtf(static_cast<float>(e.head_width));
  T* const room = content + first_row * tile.stride();
  __syncwarp();
  put_sums(sums, scale, scale, room, tile.stride());
  __syncwarp();
  write_rows<Width>(room, view.query_rows(gradient), block.query + first_row, AttentionTile::warp_rows,
                    lane_of_warp(), 32);
}

}  // namespace burrow::cuda
