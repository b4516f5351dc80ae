// Products of a warp, 16 rows by groups of 16 columns, from operands in shared memory: on tensor cores for
// bf16 and half, by fused multiply-adds for float. Sums lie as mma m16n8k16 leaves them, for every type: with
// g = lane / 4 and t = lane % 4, sums[n][0] and [1] are row g, columns 8n + 2t and 8n + 2t + 1; [2] and [3]
// row g + 8.
#pragma once

#include <burrow/core/mma.cuh>

namespace burrow::cuda {

__device__ inline int lane_of_warp() { return static_cast<int>(threadIdx.x) % 32; }
/// The row and the column within a warp's sums that element i of sums[n] of this lane belongs to.
__device__ inline int sum_row(int i) { return lane_of_warp() / 4 + i / 2 * 8; }
__device__ inline int sum_column(int n, int i) { return 8 * n + lane_of_warp() % 4 * 2 + i % 2; }

/// Operands of one step along the inner extent. Blocks are given by the address of their first element and
/// the distance of their rows; a `left` block is 16 rows by `step`, a `right` one 16 columns by `step`.
template <class T>
struct Fragments;

template <Narrow T>
struct Fragments<T> {
  static constexpr int step = 16, at_once = 2;  // steps whose loads may run ahead
  using Left = std::uint32_t[4];
  using Right = std::uint32_t[4];  // of two groups of eight columns

  /// A block that lies row after row.
  __device__ static void left(Left& x, const T* block, int stride) {
    load_matrices(x, block + lane_of_warp() % 16 * stride + lane_of_warp() / 16 * 8);
  }
  /// A block that lies column after column: its transpose is stored.
  __device__ static void left_transposed(Left& x, const T* block, int stride) {
    const int lane = lane_of_warp();
    load_matrices_transposed(x, block + (lane / 16 * 8 + lane % 8) * stride + lane / 8 % 2 * 8);
  }
  /// Sums as the left operand of another product: columns 16 m and further.
  template <int N>
  __device__ static void left_of_sums(Left& x, const float (&sums)[N][4], int m) {
    x[0] = pair_of<T>(sums[2 * m][0], sums[2 * m][1]);
    x[1] = pair_of<T>(sums[2 * m][2], sums[2 * m][3]);
    x[2] = pair_of<T>(sums[2 * m + 1][0], sums[2 * m + 1][1]);
    x[3] = pair_of<T>(sums[2 * m + 1][2], sums[2 * m + 1][3]);
  }
  /// A block of 16 stored rows, which are its columns.
  __device__ static void right(Right& y, const T* block, int stride) {
    const int lane = lane_of_warp();
    load_matrices(y, block + (lane / 16 * 8 + lane % 8) * stride + lane / 8 % 2 * 8);
  }
  /// A block whose columns are those of what is stored.
  __device__ static void right_transposed(Right& y, const T* block, int stride) {
    load_matrices_transposed(y, block + lane_of_warp() % 16 * stride + lane_of_warp() / 16 * 8);
  }
  __device__ static void multiply(float (&first)[4], float (&second)[4], const Left& x, const Right& y) {
    multiply_add<T>(first, x, {y[0], y[1]});
    multiply_add<T>(second, x, {y[2], y[3]});
  }
};

template <>
struct Fragments<float> {
  static constexpr int step = 4, at_once = 1;
  struct Left {
    float rows[2][4];
  };
  struct Right {
    float columns[4][4];  // 2t and 2t + 1 of both groups of eight
  };

  __device__ static void left(Left& x, const float* block, int stride) {
#pragma unroll
    for (int r = 0; r < 2; ++r) four(x.rows[r], block + sum_row(2 * r) * stride);
  }
  __device__ static void left_transposed(Left& x, const float* block, int stride) {
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int r = 0; r < 2; ++r) x.rows[r][k] = block[k * stride + sum_row(2 * r)];
  }
  __device__ static void right(Right& y, const float* block, int stride) {
#pragma unroll
    for (int c = 0; c < 4; ++c) four(y.columns[c], block + sum_column(c / 2, c % 2) * stride);
  }
  __device__ static void right_transposed(Right& y, const float* block, int stride) {
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int c = 0; c < 4; c += 2) {
        const float2 pair = *reinterpret_cast<const float2*>(block + k * stride + sum_column(c / 2, 0));
        y.columns[c][k] = pair.x;
        y.columns[c + 1][k] = pair.y;
      }
  }
  __device__ static void multiply(float (&first)[4], float (&second)[4], const Left& x, const Right& y) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        first[i] += x.rows[i / 2][k] * y.columns[i % 2][k];
        second[i] += x.rows[i / 2][k] * y.columns[2 + i % 2][k];
      }
  }

 private:
  __device__ static void four(float (&to)[4], const float* from) {
    const float4 x = *reinterpret_cast<const float4*>(from);
    to[0] = x.x;
    to[1] = x.y;
    to[2] = x.z;
    to[3] = x.w;
  }
};

/// sums += left right^T over `depth` elements of rows: `left` begins 16 rows, and right_rows(m) is where the
/// 16 rows that are columns 16 m and further begin.
template <class T, int N, class RightRows>
__device__ inline void multiply_rows(float (&sums)[N][4], const T* left, int stride, int depth,
                                     const RightRows& right_rows) {
  using F = Fragments<T>;
  [[maybe_unused]] constexpr int unrolled = F::at_once;
#pragma unroll unrolled
  for (int k = 0; k < depth; k += F::step) {
    typename F::Left x;
    F::left(x, left + k, stride);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      typename F::Right y;
      F::right(y, right_rows(n / 2) + k, stride);
      F::multiply(sums[n], sums[n + 1], x, y);
    }
  }
}

/// sums += left right over Depth rows of `right`: load(x, k) gives the left operand of the step that begins
/// at row k, right_row(k) is where that row begins. Where the left operand is in registers, all steps are
/// unrolled.
template <class T, int Depth, bool Registers = false, int N, class Load, class RightRow>
__device__ inline void multiply_columns(float (&sums)[N][4], int stride, const Load& load,
                                        const RightRow& right_row) {
  using F = Fragments<T>;
  [[maybe_unused]] constexpr int unrolled = Registers ? Depth / F::step : F::at_once;
#pragma unroll unrolled
  for (int k = 0; k < Depth; k += F::step) {
    typename F::Left x;
    load(x, k);
    const T* const row = right_row(k);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      typename F::Right y;
      F::right_transposed(y, row + 8 * n, stride);
      F::multiply(sums[n], sums[n + 1], x, y);
    }
  }
}

}  // namespace burrow::cuda
