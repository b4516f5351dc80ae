// The product of two matrices of bf16 on one thread by the processor's matrix unit (Intel AMX), which
// multiplies tiles of 16 rows of 64 bytes and sums in fp32. Where a build has none, amx_permitted() is false.
#pragma once

#include <burrow/core/amx.hpp>
#include <burrow/ops/matmul/kernel.hpp>

namespace burrow::cpu::detail {

/// True where this build can multiply A and B as T in tiles.
template <class T, class A = T, class B = T>
inline constexpr bool fits_tiles = compiled_for_amx&& std::same_as<T, bf16> &&
                                   (std::same_as<A, bf16> ||
                                    std::same_as<A, float>)&&(std::same_as<B, bf16> ||
                                                              std::same_as<B, float>);

}  // namespace burrow::cpu::detail

#ifdef BURROW_WITH_AMX

#include <cstdint>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12's own AVX-512 intrinsics start that way
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments lose nothing here
#endif

namespace burrow::cpu::detail {

/// Extents of tiles and blocks, in numbers. An operand has lines and positions along its sums, as in
/// pack.hpp.
struct AmxTile {
  static constexpr Index lines = 16, positions = 32, size = lines * positions;
  static constexpr Index panel = 2 * lines;    // lines of an operand that are multiplied at once
  static constexpr Index depth = 512;          // a panel of A: 32 KiB of the first cache
  static constexpr Index block_columns = 512;  // a block of B: 512 KiB of the second cache
};

/// Up to 32 numbers of one line as bf16; the others are zero.
inline __m512i pairs_along(const bf16* p, Index count) {
  return _mm512_maskz_loadu_epi16(static_cast<__mmask32>((std::uint64_t{1} << count) - 1), p);
}
inline __m512i pairs_along(const float* p, Index count) {
  const std::uint64_t mask = (std::uint64_t{1} << count) - 1;
  const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
  const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), p + 16);
  return std::bit_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

/// Two rows of 16 bf16, side by side, as pairs of one from each.
inline __m512i interleaved(__m512i rows) {
  alignas(64) static constexpr std::array<std::uint16_t, 32> order = [] {
    std::array<std::uint16_t, 32> result{};
    for (std::size_t i = 0; i < 32; ++i) result[i] = static_cast<std::uint16_t>(i / 2 + i % 2 * 16);
    return result;
  }();
  return _mm512_permutexvar_epi16(_mm512_load_si512(order.data()), rows);
}

/// The numbers of up to 16 lines at a position, and at the next if there is one, as pairs of bf16.
inline __m512i pairs_across(const bf16* p, const bf16* next, Index count) {
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  const __m256i second = next != nullptr ? _mm256_maskz_loadu_epi16(mask, next) : _mm256_setzero_si256();
  return interleaved(
      _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_maskz_loadu_epi16(mask, p)), second, 1));
}
inline __m512i pairs_across(const float* p, const float* next, Index count) {
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  const __m512 second = next != nullptr ? _mm512_maskz_loadu_ps(mask, next) : _mm512_setzero_ps();
  return interleaved(std::bit_cast<__m512i>(_mm512_cvtne2ps_pbh(second, _mm512_maskz_loadu_ps(mask, p))));
}

/// Packs a tile whose rows are lines or, Pairs, pairs of positions of all lines. Missing numbers are zero.
template <bool Pairs, bool Across, class A>
void pack_tile(const A* x, Index stride, Index lines, Index positions, bf16* to) {
  simd::PacketBlock<native_vector<float>, AmxTile::lines> rows;
  for (Index i = 0; i < AmxTile::lines; ++i) {
    __m512i row = _mm512_setzero_si512();
    if constexpr (Across) {
      const A* const p = x + 2 * i * stride;
      if (2 * i < positions) row = pairs_across(p, 2 * i + 1 < positions ? p + stride : nullptr, lines);
    } else if (i < lines) {
      row = pairs_along(x + i * stride, positions);
    }
    rows.packet[i] = std::bit_cast<native_vector<float>>(row);
  }
  if constexpr (Across != Pairs) simd::ptranspose(rows);
  for (Index i = 0; i < AmxTile::lines; ++i)
    std::memcpy(static_cast<void*>(to + i * AmxTile::positions), &rows.packet[i], 64);
}

/// Packs `lines` lines of `depth` numbers into panels of two tiles side by side, position by position, in the
/// order in which they lie in memory.
template <bool Pairs, class A>
void pack_tiles(Matrix<const A> x, Index lines, Index depth, bf16* to) {
  using Size = AmxTile;
  const Index steps = (depth + Size::positions - 1) / Size::positions;
  const Index tiles = (lines + Size::panel - 1) / Size::panel * 2;
  const auto put = [&]<bool Across>(Index tile, Index step) {
    const Index line = tile * Size::lines, position = step * Size::positions;
    pack_tile<Pairs, Across>(x.block(line, position).data, x.stride,
                             std::clamp<Index>(lines - line, 0, Size::lines),
                             std::min(depth - position, Size::positions),
                             to + ((tile / 2 * steps + step) * 2 + tile % 2) * Size::size);
  };
  if (x.transposed) {
    for (Index step = 0; step < steps; ++step)
      for (Index tile = 0; tile < tiles; ++tile) put.template operator()<true>(tile, step);
  } else {
    for (Index tile = 0; tile < tiles; ++tile)
      for (Index step = 0; step < steps; ++step) put.template operator()<false>(tile, step);
  }
}

/// Lines of memory to ask for while tiles are multiplied: at every step `count` of them, `gap` bytes apart.
struct Ahead {
  std::intptr_t from = 0;
  Index step = 0, gap = 0, count = 0;
};

/// An operand of bf16 or fp32 that packs itself into tiles; line p of it at position l is element (p, l).
struct TileOperand {
  const void* data;
  Index stride, element_bytes;
  bool transposed;
  void (*pack_lines)(const TileOperand& x, Index line, Index position, Index lines, Index depth, bf16* to);

  void pack(Index line, Index position, Index lines, Index depth, bf16* to) const {
    pack_lines(*this, line, position, lines, depth, to);
  }

  /// One of `parts` parts of the panel at a line and position.
  Ahead panel(Index line, Index position, Index part, Index parts) const {
    const Index count = std::min<Index>((AmxTile::panel + parts - 1) / parts, 4),
                row = stride * element_bytes;
    const Index first = part * count;
    if (first >= AmxTile::panel) return {};
    const auto address = reinterpret_cast<std::intptr_t>(data);
    if (transposed)
      return {address + (position + first * AmxTile::lines) * row + line * element_bytes, count * row, row,
              count};
    return {address + (line + first) * row + position * element_bytes, AmxTile::positions * element_bytes,
            row, count};
  }
};

template <bool Pairs, class A>
TileOperand tile_operand(Matrix<const A> x) {
  return {x.data, x.stride, Index{sizeof(A)}, x.transposed,
          [](const TileOperand& self, Index line, Index position, Index lines, Index depth, bf16* to) {
            const Matrix<const A> all{static_cast<const A*>(self.data), self.stride, self.transposed};
            pack_tiles<Pairs>(all.block(line, position), lines, depth, to);
          }};
}

/// Sums of 32 x 32 in four tiles, whose rows go to c = alpha sums + addend while the next are multiplied.
template <class O>
struct WaitingSums {
  const float* sums = nullptr;
  float alpha = 1;
  Index rows = 0, columns = 0;
  Destination<O> to{};
  Index row = 0;

  /// Puts the next `count` rows.
  void put(Index count) {
    for (const Index end = std::min(rows, row + count); row < end; ++row) {
      constexpr Index lines = AmxTile::lines;
      const float* const from = sums + (row / lines * 2 * lines + row % lines) * lines;
      const Packet<float> first = Packet<float>::load(from),
                          second = Packet<float>::load(from + lines * lines);
      const auto c = to.block(row, 0);
      if (columns == AmxTile::panel) {
        put_row(first, second, c);
      } else {
        put_part(first, std::min(columns, lines), c);
        if (columns > lines) put_part(second, columns - lines, c.block(0, lines));
      }
    }
  }

 private:
  using P = Packet<float>;

  void put_row(P first, P second, Destination<O> c) const {
    first = first * P(alpha);
    second = second * P(alpha);
    if (c.addend != nullptr) {
      first = first + P::load(c.addend);
      second = second + P::load(c.addend + P::size);
    }
    if constexpr (std::same_as<O, bf16>) {
      const auto rounded = _mm512_cvtne2ps_pbh(second.v, first.v);
      std::memcpy(static_cast<void*>(c.data), &rounded, sizeof(rounded));
    } else {
      first.store(c.data);
      second.store(c.data + P::size);
    }
  }

  void put_part(P value, Index count, Destination<O> c) const {
    value = value * P(alpha);
    if (c.addend != nullptr) value = value + P::load(c.addend, count);
    value.store(c.data, count);
  }
};

/// to = a b + from over panels of `steps` tiles, 32 x 32 sums in four tiles; without `from`, to = a b.
/// Meanwhile finished sums are put, and memory is asked for lines ahead and for `room` for these sums.
template <class O>
[[gnu::noinline]] void multiply_tiles(Index steps, const bf16* a, const bf16* b, const float* from, float* to,
                                      WaitingSums<O>& finished, Ahead ahead, Destination<O> room) {
  constexpr Index size = AmxTile::size, quarter = AmxTile::lines * AmxTile::lines, rows_at_once = 2;
  const auto following = reinterpret_cast<std::intptr_t>(from) + 4 * quarter * Index{sizeof(float)};
  asm volatile("" ::: "memory");
  if (from == nullptr) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, from, 64);
    _tile_loadd(1, from + quarter, 64);
    _tile_loadd(2, from + 2 * quarter, 64);
    _tile_loadd(3, from + 3 * quarter, 64);
  }
  for (Index s = 0; s < steps; ++s, a += 2 * size, b += 2 * size) {
    _tile_loadd(4, a, 64);
    _tile_stream_loadd(6, b, 64);  // passes by the first cache, where a stays
    _tile_loadd(5, a + size, 64);
    _tile_stream_loadd(7, b + size, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
    finished.put(rows_at_once);
    if (from != nullptr)  // the next tiles' sums lie behind these
      for (Index i = 0; i < 4; ++i)
        __builtin_prefetch(reinterpret_cast<const void*>(following + (4 * s + i) * 64), 0, 2);
    for (Index i = 0; i < ahead.count; ++i)
      __builtin_prefetch(reinterpret_cast<const void*>(ahead.from + i * ahead.gap), 0, 2);
    ahead.from += ahead.step;
    if (room.data != nullptr)
      for (Index i = 0; i < rows_at_once; ++i)
        __builtin_prefetch(room.data + (rows_at_once * s + i) * room.stride, 1, 3);
  }
  _tile_stored(0, to, 64);
  _tile_stored(1, to + quarter, 64);
  _tile_stored(2, to + 2 * quarter, 64);
  _tile_stored(3, to + 3 * quarter, 64);
  asm volatile("" ::: "memory");
  finished.put(AmxTile::panel);
}

/// c = alpha a b + addend for a of m x k and the transpose of b of k x n.
template <class O>
void multiply_amx(Index m, Index n, Index k, float alpha, const TileOperand& a, const TileOperand& b,
                  Destination<O> c) {
  using Size = AmxTile;
  constexpr Index panel = Size::panel, sums = panel * panel;
  const auto up = [](Index length, Index step) { return (length + step - 1) / step * step; };
  const Index most = std::min(up(k, Size::positions), Size::depth);
  const Index block_columns = std::min(up(n, panel), Size::block_columns);
  const Index earlier_sums = k > most ? up(m, panel) * block_columns : 0;
  const Buffer<Cpu> memory{
      (panel + block_columns) * most * Index{sizeof(bf16)} + (2 * sums + earlier_sums) * Index{sizeof(float)},
      MemoryUse::scratch};
  bf16* const left = static_cast<bf16*>(memory.data());
  bf16* const right = left + panel * most;
  float* const earlier = reinterpret_cast<float*>(right + block_columns * most);
  float* last_sums = earlier + earlier_sums;  // those of two times 32 x 32, in turns
  float* next_sums = last_sums + sums;
  WaitingSums<O> finished;
  const AmxTiles tiles;
  for (Index j = 0; j < n; j += block_columns) {
    const Index columns = std::min(block_columns, n - j);
    for (Index l = 0; l < k; l += most) {
      const Index depth = std::min(most, k - l), steps = up(depth, Size::positions) / Size::positions;
      const bool last = l + depth == k;
      b.pack(j, l, columns, depth, right);
      for (Index i = 0; i < m; i += panel) {
        const Index rows = std::min(panel, m - i);
        a.pack(i, l, rows, depth, left);
        for (Index jj = 0; jj < columns; jj += panel) {
          const auto to = c.block(i, j + jj);
          float* const before = earlier + i * block_columns + jj * panel;
          const Ahead ahead =
              i + panel < m ? a.panel(i + panel, l, jj / panel, (columns + panel - 1) / panel) : Ahead{};
          const bf16* const words = right + jj * steps * Size::positions;
          multiply_tiles(steps, left, words, l == 0 ? nullptr : before, last ? next_sums : before, finished,
                         ahead, last && rows == panel ? to : Destination<O>{});
          if (!last) continue;
          finished = {next_sums, alpha, rows, std::min(panel, columns - jj), to};
          std::swap(last_sums, next_sums);
        }
      }
    }
  }
  finished.put(panel);
}

template <class A, class B, class O>
void multiply_in_tiles(Index m, Index n, Index k, float alpha, Matrix<const A> a, Matrix<const B> b,
                       Destination<O> c) {
  multiply_amx(m, n, k, alpha, tile_operand<false>(a), tile_operand<true>(b.transpose()), c);
}

}  // namespace burrow::cpu::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#endif
