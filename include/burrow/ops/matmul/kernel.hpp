// The product of two matrices on one thread, in packed panels and tiles of registers (Goto and van de Geijn
// 2008). One tile for each type of sums, and one for pairs of bf16 where the processor has them; half, and
// bf16 elsewhere, are widened as they are packed.
#pragma once

#include <burrow/ops/matmul/pack.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12's own AVX-512 intrinsics start that way
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace burrow::cpu {

/// Where a product goes: c = alpha a b + addend, where the addend is a matrix of c's type (c itself
/// to accumulate, a row of stride 0 for a bias) or nothing.
template <class O>
struct Destination {
  O* data = nullptr;
  Index stride = 0;
  const O* addend = nullptr;
  Index addend_stride = 0;

  Destination block(Index i, Index j) const {
    return {data + i * stride + j, stride, addend == nullptr ? nullptr : addend + i * addend_stride + j,
            addend_stride};
  }
};

namespace detail {

/// The tile of the result that stays in registers, and the panels that stay in the caches, in words.
template <class C>
struct Tile {
  using P = Packet<C>;
  static constexpr Index rows =
      sizeof(P) == 64 ? 12 : 6;  // two vectors to a row: 24 of 32 registers, 12 of 16
  static constexpr Index columns = 2 * P::size;
  static constexpr Index depth = 1024 / Index{sizeof(C)};  // a panel of A: 12 KiB of the first cache
  static constexpr Index block_rows = 192;
  static constexpr Index block_columns = 512;  // a block of B: 512 KiB of the second cache
};

/// One tile: c = alpha a b + addend over `steps` words. A function of its own: within a larger one the sums
/// find no registers.
template <class T, class C>
[[gnu::noinline]] void multiply_tile(Index steps, C alpha, const C* a, const C* b, Destination<C> to) {
  using P = Packet<C>;
  constexpr Index tile_rows = Tile<C>::rows;
  P sums[tile_rows][2];
#pragma GCC unroll 12
  for (Index i = 0; i < tile_rows; ++i) sums[i][0] = sums[i][1] = P(C(0));
#pragma GCC unroll 1
  for (Index l = 0; l < steps; ++l) {
    const P left = P::load(b), right = P::load(b + P::size);
#pragma GCC unroll 12
    for (Index i = 0; i < tile_rows; ++i) {
      const P factor(a[i]);
      sums[i][0] = multiply_add_words<T>(factor, left, sums[i][0]);
      sums[i][1] = multiply_add_words<T>(factor, right, sums[i][1]);
    }
    a += tile_rows;
    b += 2 * P::size;
  }
  const P scale(alpha);
  const C* addend = to.addend;
  C* c = to.data;
  // Unrolled, so that the sums are never indexed by a variable, which would keep them in memory.
#pragma GCC unroll 12
  for (Index i = 0; i < tile_rows; ++i) {
    P first = sums[i][0] * scale, second = sums[i][1] * scale;
    if (addend != nullptr) {
      first = first + P::load(addend);
      second = second + P::load(addend + P::size);
      addend += to.addend_stride;
    }
    first.store(c);
    second.store(c + P::size);
    c += to.stride;
  }
}

/// Stores a vector of sums as O. The processor's rounding to bf16 takes its denormal numbers for zero.
template <class C, class O>
void store_sums(Packet<C> sums, O* to) {
#if defined(__AVX512BF16__) && defined(__AVX512F__)
  if constexpr (std::same_as<O, bf16>) {
    const auto rounded = _mm512_cvtneps_pbh(sums.v);
    std::memcpy(static_cast<void*>(to), &rounded, sizeof(rounded));
    return;
  }
#endif
  sums.store(to);
}

/// c = tile + addend, converted, for a part of a tile.
template <class C, class From, class To>
void put_tile(const C* tile, Index rows, Index columns, const From* addend, Index addend_stride, To* c,
              Index stride) {
  using P = Packet<C>;
  const bool adds = addend != nullptr;
  for (Index i = 0; i < rows; ++i, tile += Tile<C>::columns, c += stride) {
    for (Index j = 0; j < columns; j += P::size) {
      const bool whole = j + P::size <= columns;
      P value = P::load(tile + j);
      if (adds) value = value + (whole ? P::load(addend + j) : P::load(addend + j, columns - j));
      if (whole)
        store_sums(value, c + j);
      else
        value.store(c + j, columns - j);
    }
    if (adds) addend += addend_stride;
  }
}

/// One tile or a part of it, through a copy, in which its sums are converted. Sums of earlier blocks of the
/// depth wait in `waiting`; where this block is not the last, the result waits there as well.
template <class T, class C, class O>
void multiply_partial_tile(Index steps, C alpha, const C* a, const C* b, Index rows, Index columns,
                           bool first, bool last, Destination<C> waiting, Destination<O> to) {
  constexpr Index width = Tile<C>::columns;
  alignas(64) C tile[Tile<C>::rows * width];
  if (!first) waiting.addend = waiting.data;
  waiting.addend_stride = waiting.stride;
  multiply_tile<T>(steps, alpha, a, b, {tile, width, waiting.addend, waiting.addend_stride});
  if (!first) to.addend = nullptr;
  if (last)
    put_tile(tile, rows, columns, to.addend, to.addend_stride, to.data, to.stride);
  else
    put_tile(tile, rows, columns, to.addend, to.addend_stride, waiting.data, waiting.stride);
}

/// An operand of any element type that packs panels of itself; line p of it at position l is element (p, l).
template <class C>
struct Packer {
  const void* data;
  Index stride;
  bool transposed;
  void (*pack)(const Packer& x, Index line, Index position, Index lines, Index depth, C* to);

  void operator()(Index line, Index position, Index lines, Index depth, C* to) const {
    pack(*this, line, position, lines, depth, to);
  }
};

template <Index Width, class T, class A>
Packer<compute_type<T>> packer(Matrix<const A> x) {
  using C = compute_type<T>;
  return {x.data, x.stride, x.transposed,
          [](const Packer<C>& p, Index line, Index position, Index lines, Index depth, C* to) {
            const Matrix<const A> all{static_cast<const A*>(p.data), p.stride, p.transposed};
            pack<Width, T>(all.block(line, position), lines, depth, to);
          }};
}

/// c = alpha a b + addend for a of m x k and the transpose of b of k x n with products of T; c is rounded
/// once.
template <class T, class O>
void multiply_panels(Index m, Index n, Index k, compute_type<T> alpha, const Packer<compute_type<T>>& a,
                     const Packer<compute_type<T>>& b, Destination<O> c) {
  using C = compute_type<T>;
  using Size = Tile<C>;
  constexpr bool direct = std::same_as<O, C>;
  constexpr Index group = elements_per_word<T>, tile_rows = Size::rows, tile_columns = Size::columns;
  const auto up = [](Index length, Index step) { return (length + step - 1) / step * step; };
  const Index depth = std::min(up(k, group), Size::depth * group), words = depth / group;
  const Index block_rows = std::min(up(m, tile_rows), Size::block_rows);
  const Index block_columns = std::min(up(n, tile_columns), Size::block_columns);
  constexpr Index slack = Packet<C>::size;  // what pack writes too far
  const Index a_size = up(block_rows * words + slack, 64), b_size = up(block_columns * words + slack, 64);
  const bool waits = !direct && k > depth;  // sums wait in fp32 for those of the next block
  const Buffer<Cpu> room{
      (a_size + b_size + (waits ? up(m, tile_rows) * block_columns : 0)) * Index{sizeof(C)},
      MemoryUse::scratch};
  C* const packed_a = static_cast<C*>(room.data());
  C* const packed_b = packed_a + a_size;
  for (Index j = 0; j < n; j += block_columns) {
    const Index columns = std::min(block_columns, n - j);
    for (Index l = 0; l < k; l += depth) {
      const Index length = std::min(depth, k - l), steps = (length + group - 1) / group;
      const bool first = l == 0, last = l + length == k;
      b(j, l, columns, length, packed_b);
      for (Index i = 0; i < m; i += block_rows) {
        const Index rows = std::min(block_rows, m - i);
        a(i, l, rows, length, packed_a);
        for (Index ii = 0; ii < rows; ii += tile_rows)
          for (Index jj = 0; jj < columns; jj += tile_columns) {
            const C* const left = packed_a + ii * steps;
            const C* const right = packed_b + jj * steps;
            const Index tall = std::min(tile_rows, rows - ii), wide = std::min(tile_columns, columns - jj);
            Destination<O> to = c.block(i + ii, j + jj);
            if constexpr (direct) {
              if (!first) to = {to.data, to.stride, to.data, to.stride};
              if (tall == tile_rows && wide == tile_columns)
                multiply_tile<T>(steps, alpha, left, right, to);
              else
                multiply_partial_tile<T>(steps, alpha, left, right, tall, wide, true, true, Destination<C>{},
                                         to);
            } else {
              Destination<C> sums{};
              if (waits) sums = {packed_b + b_size + (i + ii) * block_columns + jj, block_columns};
              if (last || (first && to.addend != nullptr))
                multiply_partial_tile<T>(steps, alpha, left, right, tall, wide, first, last, sums, to);
              else
                multiply_tile<T>(steps, alpha, left, right,
                                 {sums.data, block_columns, first ? nullptr : sums.data, block_columns});
            }
          }
      }
    }
  }
}

/// c = alpha a b + addend for a of m x k and b of k x n with products of T: A and B are rounded or widened to
/// it as they are packed.
template <class T, class A, class B, class O>
void multiply_packed(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const A> a, Matrix<const B> b,
                     Destination<O> c) {
  using Size = Tile<compute_type<T>>;
  multiply_panels<T>(m, n, k, alpha, packer<Size::rows, T>(a), packer<Size::columns, T>(b.transpose()), c);
}

}  // namespace detail

}  // namespace burrow::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
