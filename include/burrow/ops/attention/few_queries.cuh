// Attention of a few queries on CUDA, as decoding with a cache asks for it: it is bound by reading keys,
// values and positions, so the keys of a head are cut in chunks that many blocks of threads read once, 16
// bytes to a thread. A second kernel puts the chunks together, in order.
#pragma once

#include <burrow/ops/attention/warp_tile.cuh>

namespace burrow::cuda {

/// What each chunk leaves: the largest score and the sum of each row, [rows, chunks], and the outputs that
/// belong to them, [rows, chunks, head width].
struct ChunkSums {
  float *tops, *sums, *outputs;
};

/// The queries of a head, of which a thread has the elements that it multiplies with keys, or with positions.
template <class T>
struct QueryPieces {
  static constexpr int count = static_cast<int>(KeyChunks::most_queries), per_piece = HeadRows<T>::per_piece;
  float values[count][per_piece];

  __device__ void read(const HeadRows<T>& rows, int element, const T* bias) {
#pragma unroll
    for (int q = 0; q < count; ++q) {
      T piece[per_piece];
      rows.read(q, element, piece);
#pragma unroll
      for (int i = 0; i < per_piece; ++i)
        values[q][i] =
            static_cast<float>(piece[i]) +
            (bias != nullptr && element + i < rows.width ? static_cast<float>(bias[element + i]) : 0.0f);
    }
  }
  __device__ float dot(int q, const T (&piece)[per_piece]) const {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < per_piece; ++i) sum += values[q][i] * static_cast<float>(piece[i]);
    return sum;
  }
};

/// Scores of all queries with the keys of a chunk, to base 2: scores[query * length + key]. `lanes`
/// neighbours share a key.
template <int lanes, class T>
__device__ inline void score_chunk(const HeadView<T>& view, const detail::AttentionOperands<T>& in,
                                   const KeyChunks& split, Index begin, float* scores) {
  const auto& e = view.e;
  const int group = static_cast<int>(threadIdx.x) / lanes, groups = static_cast<int>(blockDim.x) / lanes;
  const int element = static_cast<int>(threadIdx.x) % lanes * HeadRows<T>::per_piece;
  const bool relative = in.positions != nullptr;
  const float scale = static_cast<float>(detail::log2_e) * rsqrtf(static_cast<float>(e.head_width));
  const float slope = in.slopes == nullptr ? 0.0f : in.slopes[view.head] * static_cast<float>(detail::log2_e);
  const auto keys = view.key_rows(in.keys), positions = view.position_rows(in.positions);
  QueryPieces<T> content, position;
  content.read(view.query_rows(in.queries), element, view.bias(in.content_bias));
  if (relative) position.read(view.query_rows(in.queries), element, view.bias(in.position_bias));
  for (int k = group; k < split.length; k += groups) {
    T key[HeadRows<T>::per_piece];
    keys.read(begin + k, element, key);
#pragma unroll
    for (int q = 0; q < QueryPieces<T>::count; ++q) {
      if (q >= e.queries) break;
      const Index distance = q + e.memory() - begin - k;
      float sum = content.dot(q, key);
      if (relative) {
        T row[HeadRows<T>::per_piece];
        positions.read(distance, element, row);
        sum += position.dot(q, row);
      }
#pragma unroll
      for (int bits = lanes / 2; bits > 0; bits /= 2) sum += __shfl_xor_sync(whole_warp, sum, bits);
      if (element == 0)
        scores[q * split.length + k] =
            distance >= 0 ? sum * scale - slope * static_cast<float>(distance) : -INFINITY;
    }
  }
}

/// Scores of one query become what their probabilities are with the largest of them, which a warp returns
/// with their sum.
__device__ inline float2 exponentiate_chunk(float* scores, int length) {
  float top = -INFINITY, sum = 0;
  for (int k = lane_of_warp(); k < length; k += 32) top = fmaxf(top, scores[k]);
  for (int bits = 16; bits > 0; bits /= 2) top = fmaxf(top, __shfl_xor_sync(whole_warp, top, bits));
  const float shift = top == -INFINITY ? 0.0f : top;
  for (int k = lane_of_warp(); k < length; k += 32) sum += scores[k] = exp2f(scores[k] - shift);
  for (int bits = 16; bits > 0; bits /= 2) sum += __shfl_xor_sync(whole_warp, sum, bits);
  return make_float2(top, sum);
}

/// The values of a chunk's keys by the shares in `p`, summed over the keys of each warp:
/// sums[warp][query][Width].
template <int Width, class T>
__device__ inline void add_chunk_values(const HeadRows<T>& values, const KeyChunks& split, Index begin,
                                        Index queries, const float* p, float* sums) {
  constexpr int per_piece = HeadRows<T>::per_piece, lanes = Width / per_piece, count = QueryPieces<T>::count;
  const int group = static_cast<int>(threadIdx.x) / lanes, groups = static_cast<int>(blockDim.x) / lanes;
  const int element = static_cast<int>(threadIdx.x) % lanes * per_piece,
            warp = static_cast<int>(threadIdx.x) / 32;
  float outputs[count][per_piece] = {};
  for (int k = group; k < split.length; k += groups) {
    T value[per_piece];
    values.read(begin + k, element, value);
#pragma unroll
    for (int q = 0; q < count; ++q) {
      if (q >= queries) break;
      const float share = p[q * split.length + k];
#pragma unroll
      for (int i = 0; i < per_piece; ++i) outputs[q][i] += share * static_cast<float>(value[i]);
    }
  }
#pragma unroll
  for (int q = 0; q < count; ++q)
#pragma unroll
    for (int i = 0; i < per_piece; ++i) {
      float sum = outputs[q][i];
#pragma unroll
      for (int bits = lanes; bits < 32; bits *= 2) sum += __shfl_xor_sync(whole_warp, sum, bits);
      if (lane_of_warp() < lanes) sums[(warp * count + q) * Width + element + i] = sum;
    }
}

template <class T, int Width>
__global__ void __launch_bounds__(128, 4)
    attention_key_chunks(detail::AttentionExtents e, detail::AttentionOperands<T> in, bool aligned,
                         KeyChunks split, ChunkSums to) {
  constexpr int count = QueryPieces<T>::count, warps = 4;
  const Index chunk = static_cast<Index>(blockIdx.x) % split.chunks,
              unit = static_cast<Index>(blockIdx.x) / split.chunks;
  const HeadView<T> view{e, unit / e.heads, unit % e.heads, aligned};
  const Index begin = chunk * split.length;
  SharedSpace shared;
  float* const scores = shared.take<float>(count * static_cast<int>(split.length));
  float* const sums = shared.take<float>(warps * count * Width);
  score_chunk<Width / HeadRows<T>::per_piece>(view, in, split, begin, scores);
  __syncthreads();
  for (Index q = static_cast<Index>(threadIdx.x) / 32; q < e.queries; q += warps) {
    const float2 row = exponentiate_chunk(scores + q * split.length, static_cast<int>(split.length));
    const Index at = (unit * e.queries + q) * split.chunks + chunk;
    if (lane_of_warp() == 0) {
      to.tops[at] = row.x;
      to.sums[at] = row.y;
    }
  }
  __syncthreads();
  add_chunk_values<Width>(view.key_rows(in.values), split, begin, e.queries, scores, sums);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < e.queries * e.head_width;
       i += static_cast<int>(blockDim.x)) {
    const Index q = i / e.head_width, l = i % e.head_width;
    float sum = 0;
    for (int w = 0; w < warps; ++w) sum += sums[(w * count + q) * Width + l];
    to.outputs[((unit * e.queries + q) * split.chunks + chunk) * e.head_width + l] = sum;
  }
}

/// A warp to each row, [batch, heads, queries]: the chunks of its keys put together.
template <class T>
__global__ void attention_join_chunks(detail::AttentionExtents e, KeyChunks split, ChunkSums from, T* out,
                                      float* log_sums) {
  const Index row = static_cast<Index>(blockIdx.x), first = row * split.chunks;
  const Index q = row % e.queries, unit = row / e.queries, item = unit / e.heads, head = unit % e.heads;
  float top = -INFINITY, sum = 0;
  for (Index c = 0; c < split.chunks; ++c) top = fmaxf(top, from.tops[first + c]);
  for (Index c = 0; c < split.chunks; ++c) sum += from.sums[first + c] * exp2f(from.tops[first + c] - top);
  for (Index l = lane_of_warp(); l < e.head_width; l += 32) {
    float output = 0;
    for (Index c = 0; c < split.chunks; ++c)
      output += from.outputs[(first + c) * e.head_width + l] * exp2f(from.tops[first + c] - top);
    out[(item * e.queries + q) * e.width() + head * e.head_width + l] = static_cast<T>(output / sum);
  }
  if (lane_of_warp() == 0) log_sums[row] = top + log2f(sum);
}

/// Starts the kernels of few queries for heads of at most Width elements.
template <int Width, class T>
void start_key_chunks(const detail::AttentionExtents& e, const detail::AttentionOperands<T>& in, bool aligned,
                      T* out, float* log_sums) {
  const auto split = KeyChunks::of(e);
  const Index rows = KeyChunks::rows(e), each = rows * split.chunks;
  const Buffer<Cuda> numbers{each * (2 + e.head_width) * Index{sizeof(float)}};
  auto* const first = static_cast<float*>(numbers.data());
  const ChunkSums sums{first, first + each, first + 2 * each};
  launch("attention", attention_key_chunks<T, Width>, split.grid(e, Width), e, in, aligned, split, sums);
  launch("attention", attention_join_chunks<T>, {static_cast<unsigned>(rows), 1, 1, 32}, e, split, sums, out,
         log_sums);
}

}  // namespace burrow::cuda
