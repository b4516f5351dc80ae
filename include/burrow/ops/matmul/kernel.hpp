// The product of two matrices on one thread, for float and double, in packed panels and tiles of registers
// (Goto and van de Geijn 2008). It multiplies float where no library is linked, and double, bf16 and half
// always: it compiles in a fraction of the time of Eigen's, and is the faster one under g++ 12 but for small
// products.
#pragma once

#include <burrow/core/memory.hpp>
#include <burrow/core/packet.hpp>

namespace burrow::cpu {

/// A row-major matrix in memory, or the transpose of one: element (i, j) is data[i * stride + j], transposed
/// data[j * stride + i].
template <class T>
struct Matrix {
  T* data;
  Index stride;
  bool transposed = false;

  Matrix transpose() const { return {data, stride, !transposed}; }
  Matrix block(Index row, Index column) const {
    return {data + (transposed ? column * stride + row : row * stride + column), stride, transposed};
  }
};

namespace detail {

/// The tile of the result that stays in registers, and the panels that stay in the caches.
template <class C>
struct Tile {
  using P = Packet<C>;
  static constexpr Index rows =
      sizeof(P) == 64 ? 12 : 6;  // two vectors to a row: 24 of 32 registers, 12 of 16
  static constexpr Index columns = 2 * P::size;
  static constexpr Index depth = 1024 / Index{sizeof(C)};  // a panel of B is at most half of the first cache
  static constexpr Index block_rows = rows * (sizeof(P) == 64 ? 16 : 32);  // a block of A fits the second
  static constexpr Index block_columns = columns * 64;
};

/// Packs `lines` lines of `depth` elements into panels of Width lines, position by position; missing lines
/// are zero. Line p is row p of `x`, or column p where it is transposed.
template <Index Width, class C, class T>
void pack(Matrix<const T> x, Index lines, Index depth, C* to) {
  for (Index first = 0; first < lines; first += Width, to += Width * depth) {
    const Index count = std::min(Width, lines - first);
    if (count < Width) std::fill_n(to, Width * depth, C(0));
    if (x.transposed) {
      for (Index l = 0; l < depth; ++l) {
        const T* const from = x.data + l * x.stride + first;
        for (Index p = 0; p < count; ++p) to[l * Width + p] = static_cast<C>(from[p]);
      }
    } else {
      for (Index p = 0; p < count; ++p) {
        const T* const from = x.data + (first + p) * x.stride;
        for (Index l = 0; l < depth; ++l) to[l * Width + p] = static_cast<C>(from[l]);
      }
    }
  }
}

/// One tile: c (+)= alpha a b, of which rows x columns exist. A function of its own: within a larger one the
/// sums find no registers.
template <class C>
[[gnu::noinline]] void multiply_tile(Index depth, C alpha, const C* a, const C* b, bool accumulate, C* c,
                                     Index stride, Index rows, Index columns) {
  using P = Packet<C>;
  constexpr Index tile_rows = Tile<C>::rows;
  P sums[tile_rows][2];
#pragma GCC unroll 12
  for (Index i = 0; i < tile_rows; ++i) sums[i][0] = sums[i][1] = P(C(0));
#pragma GCC unroll 1
  for (Index l = 0; l < depth; ++l) {
    const P left = P::load(b), right = P::load(b + P::size);
#pragma GCC unroll 12
    for (Index i = 0; i < tile_rows; ++i) {
      const P factor(a[i]);
      sums[i][0] = fused_multiply_add(factor, left, sums[i][0]);
      sums[i][1] = fused_multiply_add(factor, right, sums[i][1]);
    }
    a += tile_rows;
    b += 2 * P::size;
  }
  const P scale(alpha);
  const auto put = [&](P sum, C * to, Index count) __attribute__((always_inline)) {
    if (count <= 0) return;
    const bool whole = count >= P::size;
    P value = sum * scale;
    if (accumulate) value = value + (whole ? P::load(to) : P::load(to, count));
    if (whole)
      value.store(to);
    else
      value.store(to, count);
  };
    // Unrolled, so that the sums are never indexed by a variable, which would keep them in memory.
#pragma GCC unroll 12
  for (Index i = 0; i < tile_rows; ++i) {
    if (i >= rows) continue;
    put(sums[i][0], c + i * stride, columns);
    put(sums[i][1], c + i * stride + P::size, columns - P::size);
  }
}

/// c (+)= alpha a b for a of m x k and b of k x n; C is float or double, the operands are converted to it as
/// they are packed.
template <class C, class A, class B>
void multiply_packed(Index m, Index n, Index k, C alpha, Matrix<const A> a, Matrix<const B> b,
                     bool accumulate, C* c, Index stride) {
  using T = Tile<C>;
  const auto up = [](Index length, Index step) { return (length + step - 1) / step * step; };
  const Index depth = std::min(k, T::depth);
  const Index block_rows = std::min(up(m, T::rows), T::block_rows);
  const Index block_columns = std::min(up(n, T::columns), T::block_columns);
  const Index a_size = up(block_rows * depth, 64 / Index{sizeof(C)});
  const Buffer<Cpu> room{(a_size + block_columns * depth) * Index{sizeof(C)}};
  C* const packed_a = static_cast<C*>(room.data());
  C* const packed_b = packed_a + a_size;
  for (Index j = 0; j < n; j += block_columns) {
    const Index columns = std::min(block_columns, n - j);
    for (Index l = 0; l < k; l += depth) {
      const Index length = std::min(depth, k - l);
      pack<T::columns>(b.block(l, j).transpose(), columns, length, packed_b);
      for (Index i = 0; i < m; i += block_rows) {
        const Index rows = std::min(block_rows, m - i);
        pack<T::rows>(a.block(i, l), rows, length, packed_a);
        for (Index jj = 0; jj < columns; jj += T::columns)
          for (Index ii = 0; ii < rows; ii += T::rows)
            multiply_tile(length, alpha, packed_a + ii * length, packed_b + jj * length, accumulate || l > 0,
                          c + (i + ii) * stride + j + jj, stride, rows - ii, columns - jj);
      }
    }
  }
}

/// sum_l a[l] b[l], in four running vectors.
template <class C, class T>
C dot(const T* a, const C* b, Index count) {
  using P = Packet<C>;
  P sums[4] = {P(C(0)), P(C(0)), P(C(0)), P(C(0))};
  Index l = 0;
  for (; l + 4 * P::size <= count; l += 4 * P::size)
    for (Index s = 0; s < 4; ++s)
      sums[s] = fused_multiply_add(P::load(a + l + s * P::size), P::load(b + l + s * P::size), sums[s]);
  for (; l + P::size <= count; l += P::size)
    sums[0] = fused_multiply_add(P::load(a + l), P::load(b + l), sums[0]);
  C sum = reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; l < count; ++l) sum += static_cast<C>(a[l]) * b[l];
  return sum;
}

/// sums[i] += sum_l x(l, i) factors[l] for rows l of `x` that are `stride` apart and `width` long.
template <class C, class T>
void add_rows(const T* x, Index stride, Index width, const C* factors, Index count, C* sums) {
  using P = Packet<C>;
  for (Index l = 0; l < count; ++l) {
    const P factor(factors[l]);
    const T* const row = x + l * stride;
    Index i = 0;
    for (; i + P::size <= width; i += P::size)
      fused_multiply_add(P::load(row + i), factor, P::load(sums + i)).store(sums + i);
    for (; i < width; ++i) sums[i] += static_cast<C>(row[i]) * factors[l];
  }
}

/// y_i (+)= alpha sum_l matrix(i, l) x_l: every element of the matrix is read once, where it lies.
template <class C, class T>
void multiply_vector(Index rows, Index k, C alpha, Matrix<const T> matrix, const T* x, Index x_step,
                     bool accumulate, T* y, Index y_step) {
  constexpr Index block = 1024;
  const Buffer<Cpu> room{(k + block) * Index{sizeof(C)}};
  C* const factors = static_cast<C*>(room.data());
  C* const sums = factors + k;
  for (Index l = 0; l < k; ++l) factors[l] = static_cast<C>(x[l * x_step]);
  for (Index first = 0; first < rows; first += block) {
    const Index count = std::min(block, rows - first);
    if (matrix.transposed) {
      std::fill_n(sums, count, C(0));
      add_rows(matrix.data + first, matrix.stride, count, factors, k, sums);
    } else {
      for (Index i = 0; i < count; ++i) sums[i] = dot(matrix.data + (first + i) * matrix.stride, factors, k);
    }
    for (Index i = 0; i < count; ++i) {
      T& to = y[(first + i) * y_step];
      to = static_cast<T>(alpha * sums[i] + (accumulate ? static_cast<C>(to) : C(0)));
    }
  }
}

}  // namespace detail

}  // namespace burrow::cpu
