// Attention forward on CUDA, in tiles on tensor cores: a block of threads takes 64 queries of a head, 16 to a
// warp, through all keys that they see, with an online softmax (Dao et al. 2022; Milakov and Gimelshein
// 2018).
#pragma once

#include <burrow/ops/attention/warp_tile.cuh>

namespace burrow::cuda {

/// The online softmax of a warp's rows: largest score and sum so far of each half of them.
class OnlineSoftmax {
 public:
  /// Scores become probabilities but for the division by their sum, and `outputs` what they would be with the
  /// largest score so far.
  template <int N, int M>
  __device__ void take(float (&scores)[N][4], float (&outputs)[M][4]) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float top = top_[h];
#pragma unroll
      for (int n = 0; n < N; ++n) top = fmaxf(top, fmaxf(scores[n][2 * h], scores[n][2 * h + 1]));
      top = fmaxf(top, __shfl_xor_sync(whole_warp, top, 1));
      top = fmaxf(top, __shfl_xor_sync(whole_warp, top, 2));
      const float shift = top == -INFINITY ? 0.0f : top, factor = power_of_two(top_[h] - shift);
      float sum = 0;
#pragma unroll
      for (int n = 0; n < N; ++n)
#pragma unroll
        for (int i = 2 * h; i < 2 * h + 2; ++i) sum += scores[n][i] = power_of_two(scores[n][i] - shift);
      top_[h] = top;
      sum_[h] = sum_[h] * factor + sum;
#pragma unroll
      for (int n = 0; n < M; ++n)
#pragma unroll
        for (int i = 2 * h; i < 2 * h + 2; ++i) outputs[n][i] *= factor;
    }
  }
  /// Adds up the sums of the lanes that share a row.
  __device__ void finish() {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      sum_[h] += __shfl_xor_sync(whole_warp, sum_[h], 1);
      sum_[h] += __shfl_xor_sync(whole_warp, sum_[h], 2);
    }
  }
  __device__ float factor(int h) const { return 1 / sum_[h]; }
  __device__ float log_sum(int h) const { return top_[h] + log2f(sum_[h]); }

 private:
  float top_[2] = {-INFINITY, -INFINITY}, sum_[2] = {};
};

/// outputs += p x for probabilities, or gradients of scores, of a warp and the rows x of a tile. `room` is 16
/// rows of the warp's shared memory for products of float.
template <class T, int Width, int M>
__device__ inline void multiply_scores(float (&outputs)[M][4], const typename WarpTile<T, Width>::Sums& p,
                                       const T* x, [[maybe_unused]] T* room,
                                       [[maybe_unused]] int room_stride) {
  using Tile = WarpTile<T, Width>;
  using F = Fragments<T>;
  const auto row = [x](int k) { return x + k * Tile::stride; };
  if constexpr (Narrow<T>) {
    multiply_columns<T, Tile::columns, true>(
        outputs, Tile::stride, [&](typename F::Left& left, int k) { F::left_of_sums(left, p, k / 16); }, row);
  } else {
    __syncwarp();
    put_sums(p, 1.0f, 1.0f, room, room_stride);
    __syncwarp();
    multiply_columns<T, Tile::columns>(
        outputs, Tile::stride, [&](typename F::Left& left, int k) { F::left(left, room + k, room_stride); },
        row);
  }
}

template <class T, int Width>
__global__ void __launch_bounds__(
    AttentionTile::of(sizeof(T), Width).threads(),
    AttentionTile::resident(AttentionTile::of(sizeof(T), Width).forward_bytes(true), 3))
    attention_forward_tiles(detail::AttentionExtents e, detail::AttentionOperands<T> in, bool aligned, T* out,
                            float* log_sums) {
  constexpr AttentionTile tile = AttentionTile::of(sizeof(T), Width);
  using Tile = WarpTile<T, Width>;
  const auto block = QueryBlock::of(e, tile, static_cast<Index>(blockIdx.x));
  const HeadView<T> view{e, block.item, block.head, aligned};
  const bool relative = in.positions != nullptr;
  SharedSpace shared;
  T* const content = shared.take<T>(tile.rows * tile.stride());
  T* const keys = shared.take<T>(tile.columns * tile.stride());
  T* const values = shared.take<T>(tile.columns * tile.stride());
  T* const position = shared.take<T>(relative ? tile.rows * tile.stride() : 0);
  T* const strip = shared.take<T>(relative ? tile.strip() * tile.stride() : 0);
  float* const scores = shared.take<float>(0) + Tile::warp() * AttentionTile::warp_rows * tile.score_stride();

  const auto queries = view.query_rows(in.queries);
  copy_biased_rows<Width>(queries, block.query, tile.rows, content, view.bias(in.content_bias));
  if (relative)
    copy_biased_rows<Width>(queries, block.query, tile.rows, position, view.bias(in.position_bias));

  Tile warp{e, in.slopes == nullptr ? 0.0f : in.slopes[block.head], scores};
  OnlineSoftmax softmax;
  float outputs[Width / 8][4] = {};
  StripRing ring{tile.strip()};
  const Index visible = visible_columns(e, block.query, tile.rows);
  const auto start_keys = [&](Index begin) {
    if (begin < visible) {
      copy_rows<Width>(view.key_rows(in.keys), begin, tile.columns, keys);
      if (relative)
        copy_strip<Width>(view.position_rows(in.positions),
                          first_of_strip(tile, e.memory(), block.query, begin), begin == 0 ? 0 : tile.rows,
                          tile.strip(), ring, strip);
    }
    commit_copies();
  };
  start_keys(0);
  for (Index begin = 0; begin < visible; begin += tile.columns) {
    wait_for_copies<0>();
    __syncthreads();  // keys are there, and all have done with the values before
    copy_rows<Width>(view.key_rows(in.values), begin, tile.columns, values);
    commit_copies();
    const bool active = warp.start(block.query, begin);
    typename Tile::Sums sums = {};
    if (active) {
      if (relative) warp.skewed(sums, position, strip, ring);
      Tile::straight(sums, content, keys);
      warp.score(sums);
      softmax.take(sums, outputs);
    }
    ring.advance(tile.columns);
    __syncthreads();  // all have done with the keys
    start_keys(begin + tile.columns);
    wait_for_copies<1>();
    __syncthreads();  // values are there
    if (active)
      multiply_scores<T, Width>(outputs, sums, values, reinterpret_cast<T*>(scores), tile.score_stride());
  }

  softmax.finish();
  const Index first = block.query + Tile::warp() * AttentionTile::warp_rows;
  if (lane_of_warp() % 4 == 0)
    for (int h = 0; h < 2; ++h)
      if (const Index row = first + sum_row(2 * h); row < e.queries)
        log_sums[view.row_numbers() + row] = softmax.log_sum(h);
  T* const room = content + Tile::warp() * AttentionTile::warp_rows * tile.stride();
  __syncwarp();
  put_sums(outputs, softmax.factor(0), softmax.factor(1), room, tile.stride());
  __syncwarp();
  write_rows<Width>(room, view.query_rows(out), first, AttentionTile::warp_rows, lane_of_warp(), 32);
}

/// Starts the forward kernel for heads of at most Width elements.
template <int Width, class T>
void start_forward_tiles(const detail::AttentionExtents& e, const detail::AttentionOperands<T>& in,
                         bool aligned, T* out, float* log_sums) {
  constexpr AttentionTile tile = AttentionTile::of(sizeof(T), Width);
  launch("attention", attention_forward_tiles<T, Width>,
         QueryBlock::grid(e, tile, tile.forward_bytes(in.positions != nullptr)), e, in, aligned, out,
         log_sums);
}

}  // namespace burrow::cuda
