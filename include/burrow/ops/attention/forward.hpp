// Attention forward on the CPU: tiles of scores with an online softmax (Dao et al. 2022; Milakov and
// Gimelshein 2018), of which only the log-sum-exp of each row is kept.
#pragma once

#include <optional>

#include <burrow/ops/attention/tile.hpp>

namespace burrow::cpu {

namespace detail {

/// In how many parts the queries of each of `units` units of work are cut, so that there is work for many
/// threads; it depends on extents only.
inline Index attention_parts(Index units, Index blocks) {
  constexpr Index wanted = 16;
  return std::clamp<Index>((wanted + units - 1) / std::max<Index>(units, 1), 1, std::max<Index>(blocks, 1));
}

/// The outputs of heads that share their keys and values.
template <class T>
class ForwardHead {
 public:
  using C = compute_type<T>;
  using P = Packet<C>;
  using Tile = AttentionTile<C>;

  ForwardHead(const AttentionExtents& e, const AttentionOperands<T>& in, T* out, C* log_sums)
      : e_{e},
        in_{in},
        out_{out},
        log_sums_{log_sums},
        padded_width_{round_up(e.head_width, Tile::panel_columns)},
        padded_keys_{round_up(e.keys, Tile::columns)},
        tile_{e},
        keys_{padded_keys_ * head_words<T>(e.head_width)},
        values_{words_of<T>(padded_keys_) * padded_width_},
        positions_{in.positions != nullptr ? tile_.distances().count * head_words<T>(e.head_width) : 0},
        result_{Tile::rows * padded_width_} {}

  /// Every `parts`-th block of queries from `part` on, of the heads of one key head.
  void run(Index item, Index key_head, Index part, Index parts) {
    const Index first_head = key_head * e_.group();
    const HeadView<T> view{e_, in_, item, first_head};
    std::optional<AmxTiles> registers;
    if (tile_.amx()) registers.emplace();
    pack_lines<Tile::panel_columns>(view.keys(), padded_keys_, keys_.data());
    pack_elements(view.values(), padded_keys_, values_.data());
    if (in_.positions != nullptr)
      pack_lines<Tile::panel_columns>(view.positions(tile_.distances()), tile_.distances().count,
                                      positions_.data());
    for (Index head = first_head; head < first_head + e_.group(); ++head)
      for (Index first = part * Tile::rows; first < e_.queries; first += parts * Tile::rows)
        block({e_, in_, item, head}, first);
  }

 private:
  void block(const HeadView<T>& view, Index first) {
    C tops[Tile::rows];
    P sums[Tile::rows];
    std::fill_n(tops, Tile::rows, -std::numeric_limits<C>::infinity());
    std::fill_n(sums, Tile::rows, P(C(0)));
    tile_.start(view, first);
    for (Index begin = 0; begin < tile_.visible(); begin += Tile::columns) {
      tile_.score(begin, keys_.data(), positions_.data());
      for (Index a = 0; a < tile_.padded_rows(); ++a) probabilities(a, begin, tops[a], sums[a]);
      add_values(begin);
    }
    for (Index a = 0; a < tile_.rows(); ++a) {
      const C sum = reduce_add(sums[a]);
      log_sums_[(view.item * e_.heads + view.head) * e_.queries + first + a] =
          tops[a] + burrow::detail::number::log2(sum);
      const C* const from = result_.data() + a * padded_width_;
      T* const to = view.query_row(out_, first + a);
      const P factor(C(1) / sum);
      Index j = 0;
      for (; j + P::size <= e_.head_width; j += P::size) (P::load(from + j) * factor).store(to + j);
      for (; j < e_.head_width; ++j) to[j] = static_cast<T>(from[j] / sum);
    }
  }

  /// The probabilities of row a but for the division by their sum; what was summed before is scaled down
  /// where a larger score appears.
  void probabilities(Index a, Index begin, C& top, P& sum) {
    if (tile_.visible_of(a, begin) == 0) return tile_.clear(a, begin);
    const C largest = tile_.largest(a, begin);
    if (top < largest) {
      if (begin > 0) {
        const C factor = burrow::detail::number::exp2(top - largest);
        sum = sum * P(factor);
        C* const x = result_.data() + a * padded_width_;
        for (Index j = 0; j < padded_width_; j += P::size) (P::load(x + j) * P(factor)).store(x + j);
      }
      top = largest;
    }
    P total = sum;
    tile_.exponentiate(a, begin, top, [&](Index, auto... y) { total = (total + ... + y); });
    sum = total;
  }

  void add_values(Index begin) {
    const Index rows = tile_.padded_rows(), step = tile_.full(begin) ? rows : product_rows<T>;
    for (Index j = 0; j < padded_width_; j += Tile::panel_columns)
      for (Index a = 0; a < rows; a += step) {
        const Index depth = tile_.visible_of(std::min(a + step, tile_.rows()) - 1, begin);
        multiply_rows<Tile::stride, T>(
            tile_.amx(), step, words_of<T>(depth), tile_.probabilities(a),
            values_.data() + j * words_of<T>(padded_keys_) + words_of<T>(begin) * Tile::panel_columns,
            begin > 0, result_.data() + a * padded_width_ + j, padded_width_);
      }
  }

  const AttentionExtents& e_;
  const AttentionOperands<T>& in_;
  T* out_;
  C* log_sums_;
  Index padded_width_, padded_keys_;
  ScoreTile<T> tile_;
  Scratch<C> keys_, values_, positions_, result_;
};

}  // namespace detail

}  // namespace burrow::cpu
