// What the tiles of attention are multiplied with: packed panels of a head's rows, and one kernel whose sums
// stay in registers. The inner extent of a product is a head's width, 32 to 128: too short for a general
// matrix product, which would pack its operands anew for every tile. bf16 is multiplied in pairs, neighbours
// along the inner extent, where the processor has such products.
#pragma once

#include <burrow/core/packet.hpp>
#include <burrow/ops/attention/amx.hpp>
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

/// What probabilities and gradients of scores are rounded to before they are multiplied with a T.
template <class T>
using TileElement = std::conditional_t<elements_per_word<T> == 1, compute_type<T>, T>;

/// Stores two vectors side by side, as store_sums does.
template <class C, class O>
void store_two(Packet<C> first, Packet<C> second, O* to) {
#if defined(__AVX512BF16__) && defined(__AVX512F__)
  if constexpr (std::same_as<O, bf16>) {
    const auto rounded = _mm512_cvtne2ps_pbh(second.v, first.v);
    std::memcpy(static_cast<void*>(to), &rounded, sizeof(rounded));
    return;
  }
#endif
  store_sums(first, to);
  store_sums(second, to + Packet<C>::size);
}

/// Words of the compute type that `elements` numbers take along the inner extent of a product of T.
template <class T>
constexpr Index words_of(Index elements) {
  return (elements + elements_per_word<T> - 1) / elements_per_word<T>;
}

/// Rows that a product of T takes at once.
template <class T>
inline constexpr Index product_rows =
    fits_amx<T> ? AmxProduct::rows : AttentionTile<compute_type<T>>::panel_rows;

/// Words of a head's row in a packed operand, those of zeros included that fill the matrix unit's registers.
template <class T>
constexpr Index head_words(Index head_width) {
  return round_up(words_of<T>(head_width), fits_amx<T> ? AmxProduct::words : 1);
}

/// The word that begins at p, which need not be aligned.
template <class C, class A>
C word_at(const A* p) {
  if constexpr (std::same_as<A, C>) {
    return *p;
  } else {
    C word;
    std::memcpy(&word, p, sizeof(word));
    return word;
  }
}

/// c (+)= a b for `rows` rows, a multiple of panel_rows, and the two vectors of columns of one panel, over
/// `depth` words. Word l of b is b[l * panel_columns]. Row i of a begins at a[i * RowStride]; with a
/// RowStride of 0, a has panels of rows that are `panel_step` apart, and in them word (i, l) is a[l * step +
/// i].
template <Index RowStride, class T, class A>
[[gnu::noinline]] void multiply_panel(Index rows, Index depth, const A* a, Index step, Index panel_step,
                                      const compute_type<T>* b, bool accumulate, compute_type<T>* c,
                                      Index stride) {
  using C = compute_type<T>;
  using P = Packet<C>;
  using Tile = AttentionTile<C>;
  constexpr Index next = RowStride == 0 ? 1 : RowStride;
  if constexpr (RowStride != 0) {
    step = elements_per_word<T>;
    panel_step = Tile::panel_rows * RowStride;
  }
  for (Index first = 0; first < rows; first += Tile::panel_rows, a += panel_step) {
    P sums[Tile::panel_rows][2];
    C* const to = c + first * stride;
#pragma GCC unroll 8
    for (Index i = 0; i < Tile::panel_rows; ++i) sums[i][0] = sums[i][1] = P(C(0));
    const A* left = a;
    const C* right = b;
#pragma GCC unroll 1
    for (Index l = 0; l < depth; ++l) {
      const P first_half = P::load(right), second_half = P::load(right + P::size);
#pragma GCC unroll 8
      for (Index i = 0; i < Tile::panel_rows; ++i) {
        const P factor(word_at<C>(left + i * next));
        sums[i][0] = multiply_add_words<T>(factor, first_half, sums[i][0]);
        sums[i][1] = multiply_add_words<T>(factor, second_half, sums[i][1]);
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

/// c (+)= a b as by multiply_panel for rows a[i * RowStride] on; with `amx`, zeros follow a and b where the
/// depth does not fill registers.
template <Index RowStride, class T>
void multiply_rows(bool amx, Index rows, Index depth, const TileElement<T>* a, const compute_type<T>* b,
                   bool accumulate, compute_type<T>* c, Index stride) {
  if constexpr (fits_amx<T>)
    if (amx)
      return multiply_amx(rows, (depth + AmxProduct::words - 1) / AmxProduct::words, a, RowStride, b,
                          AmxProduct::columns, accumulate, c, stride);
  multiply_panel<RowStride, T>(rows, depth, a, 0, 0, b, accumulate, c, stride);
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

/// to[i * to_stride + j] = from[j * stride + i] for i and j below the number of lanes.
template <class C>
void transpose_square(const C* from, Index stride, C* to, Index to_stride) {
  using P = Packet<C>;
  constexpr Index n = P::size;
  if constexpr (n > 1) {
    burrow::detail::simd::PacketBlock<burrow::detail::native_vector<C>, int{n}> vectors;
    for (Index i = 0; i < n; ++i) vectors.packet[i] = P::load(from + i * stride).v;
    burrow::detail::simd::ptranspose(vectors);
    for (Index i = 0; i < n; ++i) P(vectors.packet[i]).store(to + i * to_stride);
  } else {
    *to = *from;
  }
}

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
      transpose_square(from + p * stride + l, stride, block, n);
      for (Index i = 0; i < count; ++i)
        for (Index h = 0; h < n; h += part)
          std::copy_n(block + i * n + h, part,
                      to + (p + h) / Lines * Lines * width + (l + i) * Lines + (p + h) % Lines);
    }
}

/// Packs `total` rows, a multiple of Lines and of panel_columns, in panels of Lines rows, word by word:
/// to[panel][word][line].
template <Index Lines, class T>
[[gnu::noinline]] void pack_lines(const HeadRows<T>& x, Index total, compute_type<T>* to) {
  using C = compute_type<T>;
  using P = Packet<C>;
  constexpr Index group = std::max(Lines, AttentionTile<C>::panel_columns);
  const Index width = head_words<T>(x.width), stride = round_up(width, Packet<C>::size);
  const Scratch<C> room{(group + elements_per_word<T>)*stride};
  std::fill_n(room.data(), (group + elements_per_word<T>)*stride, C(0));
  [[maybe_unused]] C* const wide = room.data() + group * stride;
  for (Index first = 0; first < total; first += group) {
    for (Index p = 0; p < group; ++p) {
      C* const line = room.data() + p * stride;
      if constexpr (elements_per_word<T> == 1) {
        x.copy(first + p, line);
      } else {
        x.copy(first + p, wide);
        for (Index j = 0; j < 2 * stride; j += P::size)
          store_sums(P::load(wide + j), reinterpret_cast<T*>(line) + j);
      }
    }
    transpose_lines<Lines>(room.data(), stride, group, width, to + first * width);
  }
}

/// Packs `total` rows as rows of T, filled up with zeros to head_words.
template <class T>
void pack_rows(const HeadRows<T>& x, Index total, T* to) {
  using P = Packet<compute_type<T>>;
  const Index width = head_words<T>(x.width) * elements_per_word<T>;
  const Scratch<compute_type<T>> wide{width};
  std::fill_n(wide.data(), width, compute_type<T>(0));
  for (Index r = 0; r < total; ++r, to += width) {
    x.copy(r, wide.data());
    for (Index j = 0; j < width; j += P::size) store_sums(P::load(wide.data() + j), to + j);
  }
}

/// Packs `total` rows as the left operand of products along the head.
template <class T>
void pack_left(bool amx, const HeadRows<T>& x, Index total, compute_type<T>* to) {
  if constexpr (fits_amx<T>)
    if (amx) return pack_rows(x, total, reinterpret_cast<T*>(to));
  pack_lines<AttentionTile<compute_type<T>>::panel_rows>(x, total, to);
}

/// Packs `total` rows, an even number, in panels of panel_columns of their elements: to[panel][row][element],
/// missing elements are zero. Where words are pairs, two rows stand together.
template <class T>
[[gnu::noinline]] void pack_elements(const HeadRows<T>& x, Index total, compute_type<T>* to) {
  using C = compute_type<T>;
  constexpr Index elements = AttentionTile<C>::panel_columns, group = elements_per_word<T>;
  const Index width = round_up(x.width, elements), words = total / group;
  const Scratch<C> room{group * width};
  std::fill_n(room.data(), group * width, C(0));
  for (Index r = 0; r < words; ++r) {
    for (Index g = 0; g < group; ++g) x.copy(r * group + g, room.data() + g * width);
    for (Index first = 0; first < width; first += elements) {
      const C* const from = room.data() + first;
      C* const line = to + first * words + r * elements;
      if constexpr (group == 1) {
        std::copy_n(from, elements, line);
      } else {
        for (Index j = 0; j < elements; j += Packet<C>::size)
          pair_words(load_rounded<T>(from + j), load_rounded<T>(from + width + j)).store(line + j);
      }
    }
  }
}

/// Packs a tile's rows as pack_elements does or, with `amx`, transposed: to[element][row].
template <class T>
void pack_summed(bool amx, const HeadRows<T>& x, compute_type<T>* to) {
  using C = compute_type<T>;
  constexpr Index n = Packet<C>::size, rows = AttentionTile<C>::rows;
  if (!amx) return pack_elements(x, rows, to);
  constexpr Index panel = AttentionTile<C>::panel_columns, words = words_of<T>(rows);
  const Index width = round_up(x.width, panel);
  const Scratch<C> room{words * width};
  pack_elements(x, rows, room.data());
  for (Index j = 0; j < width; j += n)
    for (Index l = 0; l < words; l += n)
      transpose_square(room.data() + j / panel * panel * words + l * panel + j % panel, panel,
                       to + j * words + l, words);
}

/// to[l * columns + j] = the word of x[2 l * stride + j] and x[(2 l + 1) * stride + j], for `pairs` pairs of
/// rows and `columns` columns, a multiple of the lanes.
template <class T>
[[gnu::noinline]] void pair_rows(const T* x, Index stride, Index pairs, Index columns, float* to) {
  using P = Packet<float>;
  for (Index l = 0; l < pairs; ++l, x += 2 * stride, to += columns)
    for (Index j = 0; j < columns; j += P::size)
      pair_words(P::load(x + j), P::load(x + stride + j)).store(to + j);
}

}  // namespace burrow::cpu::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
