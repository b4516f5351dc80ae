// What the tiles of attention are multiplied with: packed panels of a head's rows, and one kernel whose sums
// stay in registers. The inner extent of a product is a head's width, 32 to 128: too short for a general
// matrix product, which would pack its operands anew for every tile.
#pragma once

#include <burrow/core/packet.hpp>
#include <burrow/ops/matmul/cpu.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments lose nothing here
#endif

namespace burrow::cpu::detail {

/// Extents of a tile of scores, `rows` queries by `columns` keys, and of the panels it is computed in. Each
/// row of the tile has room for `rows` more columns: those that the skew reaches beyond the tile.
template <class C>
struct AttentionTile {
  using P = Packet<C>;
  static constexpr Index rows = 64;
  static constexpr Index columns = 128;
  static constexpr Index stride = rows + columns;
  static constexpr Index panel_rows = sizeof(P) == 64 ? 8 : 4;  // times two vectors, in registers
  static constexpr Index panel_columns = 2 * P::size;
};

constexpr Index round_up(Index count, Index step) { return (count + step - 1) / step * step; }

/// c (+)= a b for `rows` rows, a multiple of panel_rows, and the two vectors of columns of one panel. Element
/// l of b is b[l * panel_columns]. Element (i, l) of a is a[i * RowStride + l]; with a RowStride of 0, a has
/// panels of rows that are `panel_step` apart, and in them it is a[l * step + i].
template <Index RowStride, class C>
[[gnu::noinline]] void multiply_panel(Index rows, Index depth, const C* a, Index step, Index panel_step,
                                      const C* b, bool accumulate, C* c, Index stride) {
  using P = Packet<C>;
  using Tile = AttentionTile<C>;
  constexpr Index next = RowStride == 0 ? 1 : RowStride;
  if constexpr (RowStride != 0) {
    step = 1;
    panel_step = Tile::panel_rows * RowStride;
  }
  for (Index first = 0; first < rows; first += Tile::panel_rows, a += panel_step) {
    P sums[Tile::panel_rows][2];
    C* const to = c + first * stride;
#pragma GCC unroll 8
    for (Index i = 0; i < Tile::panel_rows; ++i) sums[i][0] = sums[i][1] = P(C(0));
    const C* left = a;
    const C* right = b;
#pragma GCC unroll 1
    for (Index l = 0; l < depth; ++l) {
      const P first_half = P::load(right), second_half = P::load(right + P::size);
#pragma GCC unroll 8
      for (Index i = 0; i < Tile::panel_rows; ++i) {
        const P factor(left[i * next]);
        sums[i][0] = fused_multiply_add(factor, first_half, sums[i][0]);
        sums[i][1] = fused_multiply_add(factor, second_half, sums[i][1]);
      }
      left += step;
      right += Tile::panel_columns;
    }
    if (accumulate) {
#pragma GCC unroll 8
      for (Index i = 0; i < Tile::panel_rows; ++i) {
        sums[i][0] = sums[i][0] + P::load(to + i * stride);
        sums[i][1] = sums[i][1] + P::load(to + i * stride + P::size);
      }
    }
#pragma GCC unroll 8
    for (Index i = 0; i < Tile::panel_rows; ++i) {
      sums[i][0].store(to + i * stride);
      sums[i][1].store(to + i * stride + P::size);
    }
  }
}

/// Rows of a head within a wider array, among rows of zeros: row r is data + (r - before) * stride where
/// before <= r < before + count, and zero elsewhere. A bias is added to each row, and all is scaled.
template <class T>
struct HeadRows {
  using C = compute_type<T>;
  const T* data;
  Index stride, width, count;
  Index before = 0;
  const T* bias = nullptr;
  C scale = C(1);

  bool has(Index r) const { return r >= before && r < before + count; }
  const T* row(Index r) const { return data + (r - before) * stride; }

  /// The row's elements in compute precision.
  void copy(Index r, C* to) const {
    using P = Packet<C>;
    if (!has(r)) return static_cast<void>(std::fill_n(to, width, C(0)));
    const T* const from = row(r);
    const P factor(scale);
    Index j = 0;
    for (; j + P::size <= width; j += P::size) {
      P x = P::load(from + j);
      if (bias != nullptr) x = x + P::load(bias + j);
      (x * factor).store(to + j);
    }
    for (; j < width; ++j)
      to[j] = (static_cast<C>(from[j]) + (bias != nullptr ? static_cast<C>(bias[j]) : C(0))) * scale;
  }
};

/// to[l][p] = from[p][l] for `lines` rows p, a multiple of the lanes, that are `stride` apart, and `width`
/// elements l; Lines of the rows stand together, panels are Lines * width apart.
template <Index Lines, class C>
void transpose_lines(const C* from, Index stride, Index lines, Index width, C* to) {
  using P = Packet<C>;
  constexpr Index n = P::size, part = std::min(Lines, n);
  for (Index p = 0; p < lines; p += n)
    for (Index l = 0; l < width; l += n) {
      const Index count = std::min(n, width - l);
      alignas(64) C block[n * n];
      if constexpr (n > 1) {
        burrow::detail::simd::PacketBlock<burrow::detail::native_vector<C>, int{n}> vectors;
        for (Index i = 0; i < n; ++i) vectors.packet[i] = P::load(from + (p + i) * stride + l).v;
        burrow::detail::simd::ptranspose(vectors);
        for (Index i = 0; i < n; ++i) P(vectors.packet[i]).store(block + i * n);
      } else {
        block[0] = from[p * stride + l];
      }
      for (Index i = 0; i < count; ++i)
        for (Index h = 0; h < n; h += part)
          std::copy_n(block + i * n + h, part,
                      to + (p + h) / Lines * Lines * width + (l + i) * Lines + (p + h) % Lines);
    }
}

/// Packs `total` rows, a multiple of Lines and of panel_columns, in panels of Lines rows, element by element:
/// to[panel][element][line].
template <Index Lines, class C, class T>
[[gnu::noinline]] void pack_lines(const HeadRows<T>& x, Index total, C* to) {
  constexpr Index group = std::max(Lines, AttentionTile<C>::panel_columns);
  const Index width = x.width, stride = round_up(width, Packet<C>::size);
  const Scratch<C> room{group * stride};
  std::fill_n(room.data(), group * stride, C(0));
  for (Index first = 0; first < total; first += group) {
    for (Index p = 0; p < group; ++p) x.copy(first + p, room.data() + p * stride);
    transpose_lines<Lines>(room.data(), stride, group, width, to + first * width);
  }
}

/// Packs `total` rows in panels of panel_columns of their elements: to[panel][row][element], missing elements
/// are zero.
template <class C, class T>
[[gnu::noinline]] void pack_elements(const HeadRows<T>& x, Index total, C* to) {
  constexpr Index elements = AttentionTile<C>::panel_columns;
  const Index width = round_up(x.width, elements);
  const Scratch<C> room{width};
  std::fill_n(room.data(), width, C(0));
  for (Index r = 0; r < total; ++r) {
    x.copy(r, room.data());
    for (Index first = 0; first < width; first += elements)
      std::copy_n(room.data() + first, elements, to + first * total + r * elements);
  }
}

}  // namespace burrow::cpu::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
