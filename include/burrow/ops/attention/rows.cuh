// Attention on CUDA for every element type and head width: a warp takes one row at a time, of queries, keys
// or distances, and adds up over all that it meets. The simplest version, which the tiled kernels are checked
// against, and the one for double and for heads wider than tiles.
#pragma once

#include <burrow/core/block_reduce.cuh>
#include <burrow/ops/attention/extents.hpp>

namespace burrow::cuda {

/// Warps of a block, each with its own row.
inline constexpr int row_warps = 4;

/// A block to every `row_warps` rows, with `arrays` arrays of a head's width for each warp.
template <class C>
Grid attention_row_grid(Index rows, Index head_width, int arrays) {
  return {static_cast<unsigned>((rows + row_warps - 1) / row_warps), 1, 1, 32 * row_warps,
          static_cast<unsigned>(head_width * arrays * row_warps * Index{sizeof(C)})};
}

/// One head of one item, read by a warp whose lanes share a row's elements.
template <class T>
struct RowView {
  using C = compute_type<T>;
  const detail::AttentionExtents& e;
  const detail::AttentionOperands<T>& in;
  Index item, head;

  __device__ Index offset() const { return head * e.head_width; }
  /// Rows of this head in an array of the queries' shape, of the keys', or of the positions'.
  __device__ Index query(Index i) const { return (item * e.queries + i) * e.width() + offset(); }
  __device__ Index key(Index j) const {
    return (item * e.keys + j) * e.key_width() + head / e.group() * e.head_width;
  }
  __device__ Index position(Index i, Index j) const { return (i + e.memory() - j) * e.width() + offset(); }
  /// The row's place in [batch, heads, queries].
  __device__ Index number(Index i) const { return (item * e.heads + head) * e.queries + i; }

  __device__ C content_query(Index i, Index l) const { return biased(i, l, in.content_bias); }
  __device__ C position_query(Index i, Index l) const { return biased(i, l, in.position_bias); }

  /// The score of query i and key j, to base 2; the same in all lanes.
  __device__ C score(Index i, Index j) const {
    C sum = 0;
    for (Index l = lane(); l < e.head_width; l += 32) {
      sum += content_query(i, l) * static_cast<C>(in.keys[key(j) + l]);
      if (in.positions != nullptr)
        sum += position_query(i, l) * static_cast<C>(in.positions[position(i, j) + l]);
    }
    sum = sum_of_lanes(sum) * C(detail::log2_e) / std::sqrt(static_cast<C>(e.head_width));
    if (in.slopes != nullptr) sum -= in.slopes[head] * C(detail::log2_e) * static_cast<C>(i + e.memory() - j);
    return sum;
  }
  /// The gradient of that score over the root of the head's width, from its probability and the products of
  /// gradient and output, [batch, heads, queries].
  __device__ C score_gradient(Index i, Index j, C probability, const T* out_gradient,
                              const C* products) const {
    C sum = 0;
    for (Index l = lane(); l < e.head_width; l += 32)
      sum += static_cast<C>(out_gradient[query(i) + l]) * static_cast<C>(in.values[key(j) + l]);
    return probability * (sum_of_lanes(sum) - products[number(i)]) / std::sqrt(static_cast<C>(e.head_width));
  }

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static C sum_of_lanes(C sum) {
    for (int bits = 16; bits > 0; bits /= 2) sum += shuffle_xor(sum, bits);
    return sum;
  }

 private:
  __device__ C biased(Index i, Index l, const T* bias) const {
    const C x = static_cast<C>(in.queries[query(i) + l]);
    return bias == nullptr ? x : x + static_cast<C>(bias[offset() + l]);
  }
};

/// The number of this warp's row.
__device__ inline Index row_of_warp() {
  return static_cast<Index>(blockIdx.x) * row_warps + static_cast<Index>(threadIdx.x) / 32;
}
/// This warp's arrays of a head's width in shared memory.
template <class C>
__device__ C* arrays_of_warp(Index head_width, int arrays) {
  return reinterpret_cast<C*>(dynamic_shared()) + static_cast<Index>(threadIdx.x) / 32 * head_width * arrays;
}

template <class T>
__global__ void attention_forward_rows(detail::AttentionExtents e, detail::AttentionOperands<T> in, T* out,
                                       compute_type<T>* log_sums) {
  using C = compute_type<T>;
  const Index row = row_of_warp(), i = row % e.queries, unit = row / e.queries;
  if (unit >= e.batch * e.heads) return;
  const RowView<T> view{e, in, unit / e.heads, unit % e.heads};
  const int lane = RowView<T>::lane();
  C* const outputs = arrays_of_warp<C>(e.head_width, 1);
  for (Index l = lane; l < e.head_width; l += 32) outputs[l] = 0;
  C top = -INFINITY, sum = 0;
  for (Index j = 0; j <= i + e.memory(); ++j) {
    const C score = view.score(i, j);
    const C highest = score > top || j == 0 ? score : top, factor = j == 0 ? C(0) : std::exp2(top - highest);
    const C p = std::exp2(score - highest);
    top = highest;
    sum = sum * factor + p;
    for (Index l = lane; l < e.head_width; l += 32)
      outputs[l] = outputs[l] * factor + p * static_cast<C>(in.values[view.key(j) + l]);
  }
  for (Index l = lane; l < e.head_width; l += 32) out[view.query(i) + l] = static_cast<T>(outputs[l] / sum);
  if (lane == 0) log_sums[view.number(i)] = top + std::log2(sum);
}

/// products = the products of output and its gradient, of each row: [batch, heads, queries].
template <class T>
__global__ void attention_output_products(detail::AttentionExtents e, const T* out, const T* out_gradient,
                                          compute_type<T>* products) {
  using C = compute_type<T>;
  const Index row = row_of_warp(), i = row % e.queries, unit = row / e.queries;
  if (unit >= e.batch * e.heads) return;
  const detail::AttentionOperands<T> none{nullptr, nullptr, nullptr};
  const RowView<T> view{e, none, unit / e.heads, unit % e.heads};
  C sum = 0;
  for (Index l = RowView<T>::lane(); l < e.head_width; l += 32)
    sum += static_cast<C>(out[view.query(i) + l]) * static_cast<C>(out_gradient[view.query(i) + l]);
  sum = RowView<T>::sum_of_lanes(sum);
  if (RowView<T>::lane() == 0) products[view.number(i)] = sum;
}

/// What the kernels of gradients read besides the operands.
template <class T>
struct OutputGradient {
  const compute_type<T>*log_sums, *products;  // [batch, heads, queries]
  const T* values;                            // of the output's shape
};

template <class T>
__global__ void attention_query_gradient_rows(detail::AttentionExtents e, detail::AttentionOperands<T> in,
                                              OutputGradient<T> dy, T* gradient) {
  using C = compute_type<T>;
  const Index row = row_of_warp(), i = row % e.queries, unit = row / e.queries;
  if (unit >= e.batch * e.heads) return;
  const RowView<T> view{e, in, unit / e.heads, unit % e.heads};
  const int lane = RowView<T>::lane();
  C* const sums = arrays_of_warp<C>(e.head_width, 1);
  for (Index l = lane; l < e.head_width; l += 32) sums[l] = 0;
  for (Index j = 0; j <= i + e.memory(); ++j) {
    const C p = std::exp2(view.score(i, j) - dy.log_sums[view.number(i)]);
    const C ds = view.score_gradient(i, j, p, dy.values, dy.products);
    for (Index l = lane; l < e.head_width; l += 32) {
      const C position =
          in.positions == nullptr ? C(0) : static_cast<C>(in.positions[view.position(i, j) + l]);
      sums[l] += ds * (static_cast<C>(in.keys[view.key(j) + l]) + position);
    }
  }
  for (Index l = lane; l < e.head_width; l += 32) gradient[view.query(i) + l] = static_cast<T>(sums[l]);
}

/// Gradients of a key and its value; row (item, key) of `bias_parts` [batch * keys, width] is its share of
/// the content bias's.
template <class T>
__global__ void attention_key_gradient_rows(detail::AttentionExtents e, detail::AttentionOperands<T> in,
                                            OutputGradient<T> dy, T* key_gradient, T* value_gradient,
                                            compute_type<T>* bias_parts) {
  using C = compute_type<T>;
  const Index row = row_of_warp(), j = row % e.keys, unit = row / e.keys;
  if (unit >= e.batch * e.key_heads) return;
  const Index item = unit / e.key_heads, first_head = unit % e.key_heads * e.group();
  const int lane = RowView<T>::lane();
  C* const keys = arrays_of_warp<C>(e.head_width, 2);
  C* const values = keys + e.head_width;
  for (Index l = lane; l < 2 * e.head_width; l += 32) keys[l] = 0;
  __syncwarp();
  C total = 0;
  for (Index head = first_head; head < first_head + e.group(); ++head) {
    const RowView<T> view{e, in, item, head};
    for (Index i = j > e.memory() ? j - e.memory() : 0; i < e.queries; ++i) {
      const C p = std::exp2(view.score(i, j) - dy.log_sums[view.number(i)]);
      const C ds = view.score_gradient(i, j, p, dy.values, dy.products);
      total += ds;
      for (Index l = lane; l < e.head_width; l += 32) {
        keys[l] += ds * view.content_query(i, l);
        values[l] += p * static_cast<C>(dy.values[view.query(i) + l]);
      }
    }
  }
  const RowView<T> view{e, in, item, first_head};
  for (Index l = lane; l < e.head_width; l += 32) {
    key_gradient[view.key(j) + l] = static_cast<T>(keys[l]);
    value_gradient[view.key(j) + l] = static_cast<T>(values[l]);
    if (bias_parts != nullptr)
      bias_parts[(item * e.keys + j) * e.width() + view.offset() + l] =
          total * static_cast<C>(in.keys[view.key(j) + l]);
  }
}

/// The gradient of the position at a distance; row `distance` of `bias_parts` [keys, width] is its share of
/// the position bias's.
template <class T>
__global__ void attention_position_gradient_rows(detail::AttentionExtents e, detail::AttentionOperands<T> in,
                                                 OutputGradient<T> dy, T* gradient,
                                                 compute_type<T>* bias_parts) {
  using C = compute_type<T>;
  const Index row = row_of_warp(), distance = row % e.keys, head = row / e.keys;
  if (head >= e.heads) return;
  const int lane = RowView<T>::lane();
  C* const sums = arrays_of_warp<C>(e.head_width, 1);
  for (Index l = lane; l < e.head_width; l += 32) sums[l] = 0;
  C total = 0;
  for (Index item = 0; item < e.batch; ++item) {
    const RowView<T> view{e, in, item, head};
    for (Index i = distance > e.memory() ? distance - e.memory() : 0; i < e.queries; ++i) {
      const Index j = i + e.memory() - distance;
      const C p = std::exp2(view.score(i, j) - dy.log_sums[view.number(i)]);
      const C ds = view.score_gradient(i, j, p, dy.values, dy.products);
      total += ds;
      for (Index l = lane; l < e.head_width; l += 32) sums[l] += ds * view.position_query(i, l);
    }
  }
  for (Index l = lane; l < e.head_width; l += 32) {
    const Index at = distance * e.width() + head * e.head_width + l;
    gradient[at] = static_cast<T>(sums[l]);
    bias_parts[at] = total * static_cast<C>(in.positions[at]);
  }
}

/// to[c] = the sum of column c of `count` rows of `width` numbers, in an order that depends on the count
/// only: 32 columns and 8 shares of the rows to a block.
template <class C, class T>
__global__ void sum_of_rows(const C* rows, Index count, Index width, T* to) {
  constexpr int shares = 8;
  C* const sums = reinterpret_cast<C*>(dynamic_shared());
  const int share = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const Index column = static_cast<Index>(blockIdx.x) * 32 + lane;
  C sum = 0;
  if (column < width)
    for (Index r = share; r < count; r += shares) sum += rows[r * width + column];
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (share > 0 || column >= width) return;
  for (int s = 1; s < shares; ++s) sum += sums[32 * s + lane];
  to[column] = static_cast<T>(sum);
}
template <class C, class T>
void start_sum_of_rows(const char* name, const C* rows, Index count, Index width, T* to) {
  launch(name, sum_of_rows<C, T>,
         {static_cast<unsigned>((width + 31) / 32), 1, 1, 256, 256 * static_cast<unsigned>(sizeof(C))}, rows,
         count, width, to);
}

/// Forward by rows.
template <class T>
void start_forward_rows(const detail::AttentionExtents& e, const detail::AttentionOperands<T>& in, T* out,
                        compute_type<T>* log_sums) {
  launch("attention", attention_forward_rows<T>,
         attention_row_grid<compute_type<T>>(e.batch * e.heads * e.queries, e.head_width, 1), e, in, out,
         log_sums);
}
/// Backward by rows.
template <class T>
void start_backward_rows(const detail::AttentionExtents& e, const detail::AttentionOperands<T>& in,
                         const OutputGradient<T>& dy, const detail::AttentionGradients<T>& gradients) {
  using C = compute_type<T>;
  const char* const name = "the gradient of attention";
  const bool relative = in.positions != nullptr;
  launch(name, attention_query_gradient_rows<T>,
         attention_row_grid<C>(e.batch * e.heads * e.queries, e.head_width, 1), e, in, dy, gradients.queries);
  const Buffer<Cuda> content_parts{relative ? e.batch * e.keys * e.width() * Index{sizeof(C)} : 0};
  launch(name, attention_key_gradient_rows<T>,
         attention_row_grid<C>(e.batch * e.key_heads * e.keys, e.head_width, 2), e, in, dy, gradients.keys,
         gradients.values, static_cast<C*>(content_parts.data()));
  if (!relative) return;
  const Buffer<Cuda> position_parts{e.keys * e.width() * Index{sizeof(C)}};
  launch(name, attention_position_gradient_rows<T>, attention_row_grid<C>(e.heads * e.keys, e.head_width, 1),
         e, in, dy, gradients.positions, static_cast<C*>(position_parts.data()));
  start_sum_of_rows(name, static_cast<const C*>(content_parts.data()), e.batch * e.keys, e.width(),
                    gradients.content_bias);
  start_sum_of_rows(name, static_cast<const C*>(position_parts.data()), e.keys, e.width(),
                    gradients.position_bias);
}

}  // namespace burrow::cuda
