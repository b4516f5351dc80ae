// One tile of attention's scores: some queries of a head by some of its keys, with the position term laid
// over them by addressing, the causal mask and the exponentials. docs/internals/attention.md tells how.
#pragma once

#include <burrow/core/packet_math.hpp>
#include <burrow/ops/attention/extents.hpp>
#include <burrow/ops/attention/panels.hpp>

namespace burrow::cpu {

using burrow::detail::AttentionExtents;
using burrow::detail::AttentionGradients;
using burrow::detail::AttentionOperands;

namespace detail {

using burrow::detail::log2_e;

/// 2^x for x <= 0 or thereabouts; 0 below the normal numbers and for -infinity.
template <class C, int N>
[[gnu::always_inline]] inline Packet<C, N> power_of_two(Packet<C, N> x) {
  using P = Packet<C, N>;
  if constexpr (N == 1) {
    return exp2(x);
  } else {
    constexpr C lowest = burrow::detail::Format<C>::single ? C(-126) : C(-1022);
    const auto parts = burrow::detail::ExponentialParts<C, N>::binary(x);
    const P scale = parts.scale(0);
    return select(x < P(lowest), P(C(0)), fused_multiply_add(scale, parts.p, scale));
  }
}

/// The larger lanes; a where one is NaN.
template <class C, int N>
Packet<C, N> larger(Packet<C, N> a, Packet<C, N> b) {
  if constexpr (N == 1)
    return a.v < b.v ? b : a;
  else
    return burrow::detail::simd::pmax(a.v, b.v);
}

/// As power_of_two, to within 2.6e-6 of the value, which is enough for what is rounded to bf16: a polynomial
/// for 2^r of the smallest relative error for |r| <= 1/2.
template <int N>
[[gnu::always_inline]] inline Packet<float, N> short_power_of_two(Packet<float, N> x) {
  using P = Packet<float, N>;
  using Format = burrow::detail::Format<float>;
  if constexpr (N == 1) {
    return exp2(x);
  } else {
    // The integer of x, and with it the exponent's bias, stand in the lowest bits.
    const P rounding(Format::rounding + float{Format::bias}), y = larger(x, P(-127.0f)),
                                                              shifted = y + rounding;
    const P r = y - (shifted - rounding);
    const P p = burrow::detail::polynomial(
        r, std::array{0.999999261f, 0.693121815f, 0.240247448f, 0.0559178603f, 0.00957010191f});
    const P scale = burrow::detail::from_words<float, N>(burrow::detail::words(shifted) << Format::fraction);
    return p * scale;
  }
}

/// Where the positions of a head stand, by falling distance: row r is that of distance last - r. The distance
/// from query i to key j is i + memory - j, so that row begin(i) + j belongs to it; begin(i) is a multiple of
/// every panel's lines where i is one of a tile's rows. Rows of distances that do not exist are zero.
struct DistanceRows {
  Index queries, last, count;

  template <class C>
  static DistanceRows of(const AttentionExtents& e) {
    const Index queries = round_up(e.queries, AttentionTile<C>::rows);
    return {queries, queries + e.memory(), round_up(queries + e.memory() + 1, AttentionTile<C>::rows)};
  }
  Index begin(Index query) const { return queries - query; }
};

/// The rows of one head of one item, as the operands of an attention have them.
template <class T>
struct HeadView {
  using C = compute_type<T>;
  const AttentionExtents& e;
  const AttentionOperands<T>& in;
  Index item, head;

  Index key_head() const { return head / e.group(); }
  HeadRows<T> keys() const { return key_rows(in.keys); }
  HeadRows<T> values() const { return key_rows(in.values); }
  HeadRows<T> positions(const DistanceRows& d) const {
    const Index before = d.last - e.keys + 1;
    return {in.positions + (e.keys - 1) * e.width() + offset(), -e.width(), e.head_width, e.keys, before};
  }
  /// `count` query rows from `first` on, with a bias.
  HeadRows<T> queries(Index first, Index count, const T* bias) const {
    const C scale = C(log2_e) / burrow::detail::number::sqrt(static_cast<C>(e.head_width));
    return {query_row(in.queries, first),
            e.width(),
            e.head_width,
            count,
            0,
            bias == nullptr ? nullptr : bias + offset(),
            scale};
  }
  /// Row `query` of this head in an array of the queries' shape.
  template <class U>
  U* query_row(U* all, Index query) const {
    return all + (item * e.queries + query) * e.width() + offset();
  }
  Index offset() const { return head * e.head_width; }

 private:
  HeadRows<T> key_rows(const T* all) const {
    return {all + item * e.keys * e.key_width() + key_head() * e.head_width, e.key_width(), e.head_width,
            e.keys};
  }
};

/// The scores of a block of queries, tile after tile of keys, in base 2, and what they become: probabilities,
/// in their place where they have the same type.
template <class T>
class ScoreTile {
 public:
  using C = compute_type<T>;
  using P = Packet<C>;
  using Tile = AttentionTile<C>;
  using Element = TileElement<T>;
  static constexpr Index stride = Tile::stride;
  static constexpr bool in_place = std::same_as<Element, C>;

  explicit ScoreTile(const AttentionExtents& e)
      : e_{e},
        amx_{multiplies_in_amx<T>()},
        distances_{DistanceRows::of<C>(e)},
        words_{head_words<T>(e.head_width)},
        scores_{Tile::rows + Tile::rows * stride},
        probabilities_{in_place ? 0 : Tile::rows * stride},
        content_query_{Tile::rows * words_},
        position_query_{Tile::rows * words_} {}

  /// Takes the block of queries that begins at `first`.
  void start(const HeadView<T>& view, Index first) {
    first_ = first;
    rows_ = std::min(Tile::rows, e_.queries - first);
    relative_ = view.in.positions != nullptr;
    linear_ = view.in.slopes != nullptr;
    if (linear_) slope_ = view.in.slopes[view.head] * C(log2_e);
    pack_left(amx_, view.queries(first, rows_, relative_ ? view.in.content_bias : nullptr), Tile::rows,
              content_query_.data());
    if (relative_)
      pack_left(amx_, view.queries(first, rows_, view.in.position_bias), Tile::rows, position_query_.data());
  }

  /// True where products go through the matrix unit.
  bool amx() const { return amx_; }
  Index rows() const { return rows_; }
  Index padded_rows() const { return round_up(rows_, product_rows<T>); }
  /// Keys that any query of the block sees.
  Index visible() const { return first_ + e_.memory() + rows_; }
  /// Keys of the tile from key `begin` on.
  Index columns(Index begin) const { return std::min(Tile::columns, visible() - begin); }
  /// Keys of that tile that row a sees.
  Index visible_of(Index a, Index begin) const {
    return a < rows_ ? std::clamp<Index>(first_ + a + e_.memory() + 1 - begin, 0, columns(begin)) : 0;
  }
  /// True where every row sees every key of the tile.
  bool full(Index begin) const {
    return rows_ == Tile::rows && first_ + e_.memory() + 1 - begin >= Tile::columns;
  }
  /// The first row, rounded down to those of a product, that sees key `begin + c`.
  Index first_row(Index begin, Index c) const {
    return std::max<Index>(begin + c - first_ - e_.memory(), 0) / product_rows<T> * product_rows<T>;
  }

  /// Computes the scores of the tile from key `begin` on, from panels of the keys and of the positions. Tiles
  /// of a block are taken in order from key 0; what lies beyond a row's visible keys is meaningless.
  void score(Index begin, const C* keys, const C* positions) {
    if (relative_) position_scores(begin, positions);
    if (linear_) linear_biases(begin);
    const Index count = columns(begin);
    for (Index c = 0; c < count; c += Tile::panel_columns)
      multiply_from(first_row(begin, c), content_query_.data(), keys + (begin + c) * words_,
                    relative_ || linear_, scores() + c, stride);
  }

  /// Rows from `a` on of to (+)= x y for rows x of the block, as pack_left packs them, and one panel y.
  void multiply_from(Index a, const C* x, const C* y, bool accumulate, C* to, Index to_stride) const {
    const Index rows = padded_rows() - a;
    if constexpr (fits_amx<T>)
      if (amx_)
        return multiply_amx(rows, words_ / AmxProduct::words, reinterpret_cast<const T*>(x + a * words_),
                            words_ * elements_per_word<T>, y, Tile::panel_columns, accumulate,
                            to + a * to_stride, to_stride);
    multiply_panel<0, T>(rows, words_, x + a * words_, Tile::panel_rows, Tile::panel_rows * words_, y,
                         accumulate, to + a * to_stride, to_stride);
  }

  /// Probabilities 2^(score - shift) of row a, which sees a key, zeros beyond the visible keys. Each vector,
  /// or two where they are rounded, is shown to `use`, with its column, before.
  template <class F>
  void exponentiate(Index a, Index begin, C shift, const F& use) {
    const C* const x = row(a);
    Element* const to = probabilities(a);
    const Index whole = mask(a, begin);
    const P by(shift);
    if constexpr (in_place) {
      for (Index j = 0; j < whole; j += P::size) {
        const P y = power_of_two(P::load(x + j) - by);
        store_sums(y, to + j);
        use(j, y);
      }
    } else {
      for (Index j = 0; j < whole; j += 2 * P::size) {
        const P y = short_power_of_two(P::load(x + j) - by),
                z = short_power_of_two(P::load(x + j + P::size) - by);
        store_two(y, z, to + j);
        use(j, y, z);
      }
    }
    std::fill(to + whole, to + round_up(columns(begin), 64), Element(0));
  }
  /// Makes row a, which sees no key, zero.
  void clear(Index a, Index begin) {
    std::fill_n(probabilities(a), round_up(columns(begin), 64), Element(0));
  }

  /// The largest score of row a, which sees a key.
  C largest(Index a, Index begin) {
    const C* const x = row(a);
    const Index whole = mask(a, begin);
    P top = P::load(x);
    for (Index j = P::size; j < whole; j += P::size) top = larger(top, P::load(x + j));
    return reduce_max(top);
  }

  C* row(Index a) { return scores() + a * stride; }
  Element* probabilities(Index a) {
    if constexpr (in_place)
      return row(a);
    else
      return probabilities_.data() + a * stride;
  }
  C* scores() { return scores_.data() + Tile::rows; }
  const DistanceRows& distances() const { return distances_; }

 private:
  /// Lanes beyond the visible keys become -infinity, so that rows are whole vectors; returns their length.
  Index mask(Index a, Index begin) {
    const Index count = visible_of(a, begin), whole = round_up(count, (in_place ? 1 : 2) * P::size);
    std::fill(row(a) + count, row(a) + whole, -std::numeric_limits<C>::infinity());
    return whole;
  }

  /// Position scores of the tile. Rows of positions are written with a stride of one more than the tile's, so
  /// that each of its rows finds the one of distance delta under its key at that distance. What reaches
  /// beyond the tile is kept for the next one.
  void position_scores(Index begin, const C* positions) {
    const Index from = distances_.begin(first_) + begin;
    const auto strip = [&](Index c) {
      multiply_from(0, position_query_.data(), positions + (from + c) * words_, false, scores() + c,
                    stride + 1);
    };
    if (begin == 0) {
      for (Index c = -Tile::rows; c < 0; c += Tile::panel_columns) strip(c);
    } else {
      for (Index a = 0; a < padded_rows(); ++a) std::copy_n(row(a) + Tile::columns, a, row(a));
    }
    for (Index c = 0; c < Tile::columns && from + c <= distances_.last; c += Tile::panel_columns) strip(c);
  }

  void linear_biases(Index begin) {
    const Index count = round_up(columns(begin), Tile::panel_columns);
    for (Index a = 0; a < padded_rows(); ++a)
      for (Index j = 0; j < count; ++j)
        row(a)[j] = -slope_ * static_cast<C>(first_ + a + e_.memory() - begin - j);
  }

  const AttentionExtents& e_;
  bool amx_;
  DistanceRows distances_;
  Index words_;
  Scratch<C> scores_;
  Scratch<Element> probabilities_;
  Scratch<C> content_query_, position_query_;
  Index first_ = 0, rows_ = 0;
  bool relative_ = false, linear_ = false;
  C slope_{};
};

}  // namespace detail

}  // namespace burrow::cpu
