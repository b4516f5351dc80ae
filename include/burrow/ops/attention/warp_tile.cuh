// What the tiled kernels of attention share: rows of a head on their way to and from shared memory, and a
// warp's 16 rows of a tile of scores, with its skewed products.
#pragma once

#include <burrow/core/async_copy.cuh>
#include <burrow/core/block_reduce.cuh>
#include <burrow/ops/attention/cuda_tiles.hpp>
#include <burrow/ops/attention/fragments.cuh>

namespace burrow::cuda {

/// Pieces of dynamic shared memory, one after the other.
class SharedSpace {
 public:
  template <class T>
  __device__ T* take(int count) {
    T* const piece = reinterpret_cast<T*>(next_);
    next_ += count * static_cast<int>(sizeof(T));
    return piece;
  }

 private:
  std::byte* next_ = dynamic_shared();
};

/// Rows of one head within a wider array; rows outside of [0, count) and elements beyond the head's width are
/// zeros. `aligned` where all of them can be accessed 16 bytes at a time.
template <class T>
struct HeadRows {
  const T* data;
  Index stride, count;
  int width;
  bool aligned;

  static constexpr int per_piece = elements_per_access<T>;

  __device__ bool has(Index row, int element) const { return row >= 0 && row < count && element < width; }
  __device__ const T* at(Index row, int element) const { return data + row * stride + element; }
  /// 16 bytes of a row, from `element` on.
  __device__ void read(Index row, int element, T (&to)[per_piece]) const {
    const bool inside = has(row, element);
    if (inside && aligned) return load_elements<per_piece>(at(row, element), to);
#pragma unroll
    for (int i = 0; i < per_piece; ++i) to[i] = inside && element + i < width ? at(row, element)[i] : T(0.0f);
  }
};

/// One head of one item, as the operands of an attention have it.
template <class T>
struct HeadView {
  const detail::AttentionExtents& e;
  Index item, head;
  bool aligned;

  /// Its rows in an array of the queries' shape, of the keys', or of the positions'.
  __device__ HeadRows<T> query_rows(const T* all) const {
    return rows(all + item * e.queries * e.width(), head, e.width(), e.queries);
  }
  __device__ HeadRows<T> key_rows(const T* all) const {
    return rows(all + item * e.keys * e.key_width(), head / e.group(), e.key_width(), e.keys);
  }
  __device__ HeadRows<T> position_rows(const T* all) const { return rows(all, head, e.width(), e.keys); }
  /// Its part of a bias, or of nothing.
  __device__ const T* bias(const T* all) const {
    return all == nullptr ? nullptr : all + head * e.head_width;
  }
  /// Its first element in an array of numbers of rows, [batch, heads, queries].
  __device__ Index row_numbers() const { return (item * e.heads + head) * e.queries; }

 private:
  __device__ HeadRows<T> rows(const T* data, Index which, Index stride, Index count) const {
    return {data + which * e.head_width, stride, count, static_cast<int>(e.head_width), aligned};
  }
};

/// Copies `count` rows to shared memory, all threads of the block together: row row_of(r) to row slot(r).
/// They are there after `wait_for_copies`, of a group that the caller commits, and a barrier.
template <int Width, class T, class Slot, class RowOf>
__device__ inline void copy_rows(const HeadRows<T>& from, int count, T* to, const Slot& slot,
                                 const RowOf& row_of) {
  constexpr int per_piece = HeadRows<T>::per_piece;
  constexpr int stride = AttentionTile::of(sizeof(T), Width).stride();
  const int at_once = static_cast<int>(blockDim.x) / (Width / per_piece);
  const auto first = RowPiece::of(static_cast<int>(threadIdx.x), Width, per_piece);
#pragma unroll 2
  for (int r = first.row; r < count; r += at_once) {
    const Index row = row_of(r);
    T* const at = to + slot(r) * stride + first.element;
    if (from.aligned) {
      const bool inside = from.has(row, first.element);
      copy_async(at, inside ? from.at(row, first.element) : from.data, inside);
    } else {
      T values[per_piece];
      from.read(row, first.element, values);
      store_elements<per_piece>(at, values);
    }
  }
}
/// Rows `first` and further, in order.
template <int Width, class T>
__device__ inline void copy_rows(const HeadRows<T>& from, Index first, int count, T* to) {
  copy_rows<Width>(
      from, count, to, [](int r) { return r; }, [first](int r) { return first + r; });
}
/// The same with a bias added, where there is one; it needs no waiting but for the barrier.
template <int Width, class T>
__device__ inline void copy_biased_rows(const HeadRows<T>& from, Index first, int count, T* to,
                                        const T* bias) {
  constexpr int per_piece = HeadRows<T>::per_piece, pieces = Width / per_piece;
  constexpr int stride = AttentionTile::of(sizeof(T), Width).stride();
#pragma unroll 2
  for (int p = static_cast<int>(threadIdx.x); p < count * pieces; p += static_cast<int>(blockDim.x)) {
    const auto piece = RowPiece::of(p, Width, per_piece);
    T values[per_piece];
    from.read(first + piece.row, piece.element, values);
    if (bias != nullptr) {
#pragma unroll
      for (int i = 0; i < per_piece; ++i)
        if (piece.element + i < from.width)
          values[i] = T(static_cast<float>(values[i]) + static_cast<float>(bias[piece.element + i]));
    }
    store_elements<per_piece>(to + piece.row * stride + piece.element, values);
  }
}
/// Rows `begin` to `end` of a strip whose row c is that of index `index - c`.
template <int Width, class T>
__device__ inline void copy_strip(const HeadRows<T>& from, Index index, int begin, int end,
                                  const StripRing& ring, T* to) {
  copy_rows<Width>(
      from, end - begin, to, [&](int r) { return ring.slot(begin + r); },
      [index, begin](int r) { return index - begin - r; });
}

/// Puts sums of a warp, multiplied by a number for each half of its rows, to 16 rows of shared memory, two
/// neighbours at once. The stride is even.
template <class T, int N>
__device__ inline void put_sums(const float (&sums)[N][4], float first_half, float second_half, T* to,
                                int stride) {
#pragma unroll
  for (int n = 0; n < N; ++n)
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
      const float factor = i < 2 ? first_half : second_half;
      T* const at = to + sum_row(i) * stride + sum_column(n, 0);
      const float pair[2] = {sums[n][i] * factor, sums[n][i + 1] * factor};
      if constexpr (Narrow<T>)
        store_pair(at, pair_of<T>(pair[0], pair[1]));
      else
        store_elements<2>(at, pair);
    }
}
/// Writes rows of shared memory as rows `first` and further of a head, as far as there are any; `thread` of
/// `threads` take part.
template <int Width, class T>
__device__ inline void write_rows(const T* from, const HeadRows<T>& to, Index first, int count, int thread,
                                  int threads) {
  constexpr int per_piece = HeadRows<T>::per_piece, pieces = Width / per_piece;
  constexpr int stride = AttentionTile::of(sizeof(T), Width).stride();
  for (int p = thread; p < count * pieces; p += threads) {
    const auto piece = RowPiece::of(p, Width, per_piece);
    const Index row = first + piece.row;
    if (row >= to.count || piece.element >= to.width) continue;
    T values[per_piece];
    load_elements<per_piece>(from + piece.row * stride + piece.element, values);
    T* const at = const_cast<T*>(to.at(row, piece.element));
    if (to.aligned) {
      store_elements<per_piece>(at, values);
    } else {
      for (int i = 0; i < per_piece && piece.element + i < to.width; ++i) at[i] = values[i];
    }
  }
}

/// 2^x; what is smaller than any normal number becomes 0.
__device__ inline float power_of_two(float x) {
#if defined(__CUDA_ARCH__)
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
#else
  return exp2f(x);
#endif
}

/// A warp's 16 rows of a tile of `Rows`, which begins at query `query` and column `column`.
template <class T, int Width, int Rows = AttentionTile::of(sizeof(T), Width).rows>
class WarpTile {
 public:
  static constexpr int columns = AttentionTile::of(sizeof(T), Width).columns;
  static constexpr int rows = Rows;
  static constexpr int stride = AttentionTile::of(sizeof(T), Width).stride();
  static constexpr int score_stride = AttentionTile::of(sizeof(T), Width).score_stride();
  static constexpr int groups = columns / 8;
  static constexpr int skewed_groups = AttentionTile::of(sizeof(T), Width).skewed_columns() / 8;
  using Sums = float[groups][4];

  /// `scores` is the warp's room in shared memory, 16 rows of numbers.
  __device__ WarpTile(const detail::AttentionExtents& e, float slope, float* scores)
      : e_{e},
        scale_{static_cast<float>(detail::log2_e) * rsqrtf(static_cast<float>(e.head_width))},
        slope_{slope * static_cast<float>(detail::log2_e)},
        scores_{scores} {}

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }

  /// Takes the tile; true where a row of the warp sees a column of it.
  __device__ bool start(Index query, Index column) {
    const Index first = query + AttentionTile::warp_rows * warp();
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const Index row = first + sum_row(2 * h), seen = row + e_.memory() + 1 - column;
      seen_[h] = row >= e_.queries || seen < 0 ? 0 : static_cast<int>(seen < columns ? seen : columns);
      bias_[h] = -slope_ * static_cast<float>(seen - 1 - sum_column(0, 0));
    }
    all_seen_ = first + AttentionTile::warp_rows <= e_.queries && first + e_.memory() + 1 >= column + columns;
    return first < e_.queries && first + AttentionTile::warp_rows + e_.memory() > column;
  }

  /// Products of the warp's rows of `left` with the rows of `right`.
  __device__ static void straight(Sums& sums, const T* left, const T* right) {
    multiply_rows(sums, left + warp() * AttentionTile::warp_rows * stride, stride, Width,
                  [right](int m) { return right + 16 * m * stride; });
  }
  /// The same with the rows of a strip, each product added where it belongs. It takes the most registers, so
  /// it comes before other products.
  __device__ void skewed(Sums& sums, const T* left, const T* strip, const StripRing& ring) {
    float products[skewed_groups][4] = {};
    const int first = warp_strip(rows, warp());
    multiply_rows(products, left + warp() * AttentionTile::warp_rows * stride, stride, Width,
                  [&](int m) { return strip + ring.slot(first + 16 * m) * stride; });
    __syncwarp();
#pragma unroll
    for (int n = 0; n < skewed_groups; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int b = column_of_skewed(sum_row(i), sum_column(n, i));
        if (b >= 0 && b < columns) scores_[sum_row(i) * score_stride + b] = products[n][i];
      }
    __syncwarp();
#pragma unroll
    for (int n = 0; n < groups; ++n)
#pragma unroll
      for (int i = 0; i < 4; i += 2) {
        const auto pair =
            *reinterpret_cast<const float2*>(scores_ + sum_row(i) * score_stride + sum_column(n, i));
        sums[n][i] += pair.x;
        sums[n][i + 1] += pair.y;
      }
  }

  /// Products become scores to base 2, -infinity where the mask is.
  __device__ void score(Sums& sums) const {
    if (all_seen_)
      each_score<false>(
          sums, [](float score, int) { return score; }, -INFINITY);
    else
      each_score<true>(
          sums, [](float score, int) { return score; }, -INFINITY);
  }
  /// Products become probabilities, 2^(score - log_sums) of each half of the rows.
  __device__ void probabilities(Sums& sums, const float (&log_sums)[2]) const {
    const auto probability = [&](float score, int h) { return power_of_two(score - log_sums[h]); };
    if (all_seen_)
      each_score<false>(sums, probability, 0.0f);
    else
      each_score<true>(sums, probability, 0.0f);
  }

  __device__ float* scores() { return scores_; }

 private:
  /// Products become to(score, half of the rows), or `otherwise` where the mask is.
  template <bool Masked, class To>
  __device__ void each_score(Sums& sums, const To& to, float otherwise) const {
#pragma unroll
    for (int n = 0; n < groups; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float value =
            to(sums[n][i] * scale_ + (bias_[i / 2] + slope_ * static_cast<float>(8 * n + i % 2)), i / 2);
        sums[n][i] = !Masked || sum_column(n, i) < seen_[i / 2] ? value : otherwise;
      }
  }

  const detail::AttentionExtents& e_;
  float scale_, slope_;
  float* scores_;
  int seen_[2] = {};
  float bias_[2] = {};  // of the lane's first column
  bool all_seen_ = false;
};

/// The number `numbers` has for each half of the rows of a warp that begins at query `first`; 0 beyond the
/// queries.
__device__ inline void read_row_numbers(const float* numbers, Index first, Index queries, float (&to)[2]) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const Index row = first + sum_row(2 * h);
    to[h] = row < queries ? numbers[row] : 0.0f;
  }
}

}  // namespace burrow::cuda
