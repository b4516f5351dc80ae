// Attention backward on the CPU: the probabilities of each tile are computed again from the log-sum-exp of
// their rows, and all gradients follow from the tile (Dao et al. 2022, algorithm 4, with the position term).
#pragma once

#include <burrow/ops/attention/forward.hpp>

namespace burrow::cpu::detail {

/// What one task sums: the gradients of keys and values of some items, and of positions and biases over all
/// of its queries.
template <class C>
struct GradientSums {
  Index padded_width, keys_size, positions_size, items;
  bool transposed;  // within panels of rows, as the matrix unit leaves them

  /// For `items` items; positions and biases where `distances` is not 0.
  GradientSums(const AttentionExtents& e, Index distances, Index item_count, bool in_amx)
      : padded_width{round_up(e.head_width, AttentionTile<C>::panel_columns)},
        keys_size{round_up(e.keys, AttentionTile<C>::columns) * padded_width},
        positions_size{distances * padded_width},
        items{item_count},
        transposed{in_amx} {}

  Index size() const { return positions_size + 2 * padded_width + items * 2 * keys_size; }
  C* positions(C* sums) const { return sums; }
  C* content_bias(C* sums) const { return sums + positions_size; }
  C* position_bias(C* sums) const { return content_bias(sums) + padded_width; }
  C* keys(C* sums, Index item) const { return position_bias(sums) + padded_width + item * 2 * keys_size; }
  C* values(C* sums, Index item) const { return keys(sums, item) + keys_size; }

  /// Makes rows of `size` sums of keys, values or positions.
  void make_rows(C* sums, Index size) const {
    if (!transposed) return;
    constexpr Index n = Packet<C>::size, rows = AttentionTile<C>::panel_columns;
    const Index panel = rows * padded_width;
    const Scratch<C> copy{panel};
    for (Index first = 0; first < size; first += panel) {
      std::copy_n(sums + first, panel, copy.data());
      for (Index j = 0; j < padded_width; j += n)
        for (Index r = 0; r < rows; r += n)
          transpose_square(copy.data() + j * rows + r, rows, sums + first + r * padded_width + j,
                           padded_width);
    }
  }
};

/// to[r] = scale * from[r] for the rows of a head, which are padded_width apart in `from`.
template <class C, class T>
void put_rows(const C* from, Index padded_width, Index rows, Index width, C scale, T* to, Index stride) {
  using P = Packet<C>;
  for (Index r = 0; r < rows; ++r, from += padded_width, to += stride) {
    Index j = 0;
    for (; j + P::size <= width; j += P::size) (P::load(from + j) * P(scale)).store(to + j);
    for (; j < width; ++j) to[j] = static_cast<T>(from[j] * scale);
  }
}

/// The backward pass of the heads that share their keys and values.
template <class T>
class BackwardHead {
 public:
  using C = compute_type<T>;
  using P = Packet<C>;
  using Tile = AttentionTile<C>;
  using Element = TileElement<T>;
  static constexpr Index stride = Tile::stride;
  static constexpr bool in_place = std::same_as<Element, C>;

  BackwardHead(const AttentionExtents& e, const AttentionOperands<T>& in, const T* out, const C* log_sums,
               const T* out_gradient, T* query_gradient)
      : e_{e},
        in_{in},
        out_{out},
        log_sums_{log_sums},
        out_gradient_{out_gradient},
        query_gradient_{query_gradient},
        relative_{in.positions != nullptr},
        width_{round_up(e.head_width, Tile::panel_columns)},
        padded_keys_{round_up(e.keys, Tile::columns)},
        words_{head_words<T>(e.head_width)},
        tile_{e},
        key_lines_{padded_keys_ * words_},
        value_lines_{padded_keys_ * words_},
        key_elements_{words_of<T>(padded_keys_) * width_},
        position_lines_{relative_ ? distances().count * words_ : 0},
        position_elements_{relative_ ? words_of<T>(distances().count) * width_ : 0},
        products_{in_place ? 0 : Tile::rows * stride},
        pairs_{in_place ? 0 : Tile::rows / 2 * Tile::columns},
        score_gradients_{Tile::rows * stride},
        query_elements_{2 * query_size()},
        out_lines_{Tile::rows * words_},
        out_elements_{query_size()},
        query_sums_{2 * Tile::rows * width_} {}

  /// Packs the positions of a head, for all items.
  void take_positions(Index head) {
    if (!relative_) return;
    const HeadView<T> view{e_, in_, 0, head};
    pack_lines<Tile::panel_columns>(view.positions(distances()), distances().count, position_lines_.data());
    pack_elements(view.positions(distances()), distances().count, position_elements_.data());
  }

  /// Every `parts`-th block of queries from `part` on, of one item and the heads of one key head: adds to the
  /// sums, where the item is number `slot`, and writes the gradients of the queries.
  void run(Index item, Index key_head, Index part, Index parts, const GradientSums<C>& layout, C* sums,
           Index slot) {
    const Index first_head = key_head * e_.group();
    const HeadView<T> view{e_, in_, item, first_head};
    std::optional<AmxTiles> registers;
    if (tile_.amx()) registers.emplace();
    pack_lines<Tile::panel_columns>(view.keys(), padded_keys_, key_lines_.data());
    pack_lines<Tile::panel_columns>(view.values(), padded_keys_, value_lines_.data());
    pack_elements(view.keys(), padded_keys_, key_elements_.data());
    key_sums_ = layout.keys(sums, slot);
    value_sums_ = layout.values(sums, slot);
    position_sums_ = layout.positions(sums);
    content_bias_sums_ = layout.content_bias(sums);
    position_bias_sums_ = layout.position_bias(sums);
    for (Index head = first_head; head < first_head + e_.group(); ++head)
      for (Index first = part * Tile::rows; first < e_.queries; first += parts * Tile::rows)
        block({e_, in_, item, head}, first);
  }

  const DistanceRows& distances() const { return tile_.distances(); }

 private:
  void block(const HeadView<T>& view, Index first) {
    start(view, first);
    Index begin = 0;
    for (; begin < tile_.visible(); begin += Tile::columns) {
      tile_.score(begin, key_lines_.data(), position_lines_.data());
      differentiate_scores(begin);
      add_to_keys(begin, tile_.probabilities(0), out_elements_.data(), value_sums_);
      add_to_keys(begin, gradients(), query_elements_.data(), key_sums_);
      add_to_queries(begin);
      if (relative_) add_positions(begin, first, Tile::columns);
    }
    if (relative_) {  // the distances that the last tile left over
      for (Index a = 0; a < tile_.padded_rows(); ++a)
        std::fill_n(gradients() + a * stride, Tile::rows, Element(0));
      add_positions(begin, first, Tile::rows);
    }
    finish(view, first);
  }

  /// Packs the block's queries and the gradients of its outputs.
  void start(const HeadView<T>& view, Index first) {
    tile_.start(view, first);
    const Index rows = tile_.rows(), d = e_.head_width;
    const auto queries = [&](const T* bias, C* to) {
      pack_summed(tile_.amx(), view.queries(first, rows, bias), to);
    };
    queries(relative_ ? in_.content_bias : nullptr, query_elements_.data());
    if (relative_) queries(in_.position_bias, query_elements_.data() + query_size());
    const HeadRows<T> dy{view.query_row(out_gradient_, first), e_.width(), d, rows};
    const HeadRows<T> y{view.query_row(out_, first), e_.width(), d, rows};
    pack_left(tile_.amx(), dy, Tile::rows, out_lines_.data());
    pack_summed(tile_.amx(), dy, out_elements_.data());
    log_sums_of_block_ = log_sums_ + (view.item * e_.heads + view.head) * e_.queries + first;
    for (Index a = 0; a < rows; ++a) {
      weighted_[a] = 0;
      for (Index j = 0; j < d; ++j)
        weighted_[a] += static_cast<C>(dy.row(a)[j]) * static_cast<C>(y.row(a)[j]);
    }
    std::fill_n(query_sums_.data(), 2 * Tile::rows * width_, C(0));
    if (relative_)
      for (Index a = 0; a < Tile::rows; ++a)
        std::fill_n(score_gradients_.data() + a * stride, Tile::rows, Element(0));
  }

  /// Probabilities from the scores of the tile, and from both the gradients of the scores.
  void differentiate_scores(Index begin) {
    const Index count = tile_.columns(begin);
    for (Index c = 0; c < count; c += Tile::panel_columns)
      tile_.multiply_from(tile_.first_row(begin, c), out_lines_.data(),
                          value_lines_.data() + (begin + c) * words_, false, products() + c, stride);
    for (Index a = 0; a < tile_.padded_rows(); ++a) {
      const Index seen = tile_.visible_of(a, begin);
      const C* const dp = products() + a * stride;
      Element* const ds = gradients() + a * stride;
      if (seen == 0) {
        tile_.clear(a, begin);
      } else {
        const P by(weighted_[a]);
        tile_.exponentiate(a, begin, log_sums_of_block_[a], [&](Index j, P p, auto... second) {
          const P first = p * (P::load(dp + j) - by);
          if constexpr (sizeof...(second) == 0)
            store_sums(first, ds + j);
          else
            store_two(first, (second * ... * (P::load(dp + j + P::size) - by)), ds + j);
        });
      }
      std::fill(ds + seen, ds + Tile::columns, Element(0));
    }
  }

  /// sums += s^T x for the tile's rows x.
  void add_to_keys(Index begin, const Element* s, const C* x, C* sums) {
    const bool full = tile_.full(begin);
    const Index keys = round_up(tile_.columns(begin), product_rows<T>), step = full ? keys : product_rows<T>;
    const auto [words, next] = by_rows(s, stride, keys);
    for (Index c = 0; c < keys; c += step)
      multiply_columns(full ? 0 : tile_.first_row(begin, c), step, words + c, next, x,
                       sums + (begin + c) * width_);
  }

  /// sums += s^T x over the tile's rows from `first` on, for `columns` columns of words of s and all of x.
  /// With amx, sums are panels of [element][column].
  void multiply_columns(Index first, Index columns, const C* s, Index next, const C* x, C* sums) {
    const Index a = words_of<T>(first);
    if constexpr (fits_amx<T>)
      if (tile_.amx()) {
        for (Index c = 0; c < columns; c += AmxProduct::columns)
          multiply_amx(width_, (tile_.padded_rows() - first) / (2 * AmxProduct::words),
                       reinterpret_cast<const T*>(x + a), Tile::rows, s + a * next + c, next, true,
                       sums + c * width_, AmxProduct::columns);
        return;
      }
    for (Index j = 0; j < width_; j += Tile::panel_columns)
      multiply_panel<0, T>(columns, words_of<T>(tile_.rows()) - a, s + a * next, next, Tile::panel_rows,
                           x + j * words_of<T>(Tile::rows) + a * Tile::panel_columns, true, sums + j, width_);
  }

  /// The content part of the queries' gradients.
  void add_to_queries(Index begin) {
    const Index rows = tile_.padded_rows(), step = tile_.full(begin) ? rows : product_rows<T>;
    for (Index j = 0; j < width_; j += Tile::panel_columns)
      for (Index a = 0; a < rows; a += step) {
        const Index depth = tile_.visible_of(std::min(a + step, tile_.rows()) - 1, begin);
        multiply_rows<stride, T>(
            tile_.amx(), step, words_of<T>(depth), gradients() + a * stride,
            key_elements_.data() + j * words_of<T>(padded_keys_) + words_of<T>(begin) * Tile::panel_columns,
            true, query_sums_.data() + a * width_ + j, width_);
      }
  }

  /// The gradients of positions and the position part of the queries'. Read with a stride of one more than
  /// the tile's, its columns are distances; the `count` ones that no later tile adds to are taken, and the
  /// columns that they reach into are kept from the tile before.
  void add_positions(Index begin, Index first, Index count) {
    const Index from = distances().begin(first) + begin - Tile::rows;
    const Index depth = std::min(count, distances().last + 1 - from);
    if (depth <= 0) return;
    const Element* const skewed = score_gradients_.data();
    const C* const x = query_elements_.data() + query_size();
    const Index lines = round_up(depth, product_rows<T>);
    const auto [words, next] = by_rows(skewed, stride + 1, lines);
    for (Index j = 0; j < width_; j += Tile::panel_columns)
      multiply_rows<stride + 1, T>(tile_.amx(), tile_.padded_rows(), words_of<T>(depth), skewed,
                                   position_elements_.data() + j * words_of<T>(distances().count) +
                                       words_of<T>(from) * Tile::panel_columns,
                                   true, query_sums_.data() + Tile::rows * width_ + j, width_);
    multiply_columns(0, lines, words, next, x, position_sums_ + from * width_);
    for (Index a = 0; a < tile_.padded_rows(); ++a)
      std::copy_n(score_gradients_.data() + a * stride + Tile::columns, Tile::rows,
                  score_gradients_.data() + a * stride);
  }

  /// Writes the gradients of the block's queries and adds up those of the biases.
  void finish(const HeadView<T>& view, Index first) {
    const C scale = C(1) / burrow::detail::number::sqrt(static_cast<C>(e_.head_width));
    C* const content = query_sums_.data();
    const C* const position = content + Tile::rows * width_;
    for (Index a = 0; a < (relative_ ? tile_.rows() : 0); ++a)
      for (Index j = 0; j < width_; j += P::size) {
        const P c = P::load(content + a * width_ + j), p = P::load(position + a * width_ + j);
        fused_multiply_add(c, P(scale), P::load(content_bias_sums_ + j)).store(content_bias_sums_ + j);
        fused_multiply_add(p, P(scale), P::load(position_bias_sums_ + j)).store(position_bias_sums_ + j);
        (c + p).store(content + a * width_ + j);
      }
    put_rows<C>(content, width_, tile_.rows(), e_.head_width, scale, view.query_row(query_gradient_, first),
                e_.width());
  }

  /// Words of the block's rows s for a product that sums over rows, and how far apart those of the next row,
  /// or pair of rows, are.
  std::pair<const C*, Index> by_rows(const Element* s, Index row_stride, [[maybe_unused]] Index columns) {
    if constexpr (in_place) {
      return {s, row_stride};
    } else {
      pair_rows(s, row_stride, tile_.padded_rows() / 2, round_up(columns, P::size), pairs_.data());
      return {pairs_.data(), round_up(columns, P::size)};
    }
  }

  /// The gradients of the tile's scores; the columns of the tile before stand in front of them.
  Element* gradients() { return score_gradients_.data() + Tile::rows; }
  /// The products dO V^T, which become the gradients, in place where they have the same type.
  C* products() {
    if constexpr (in_place)
      return gradients();
    else
      return products_.data();
  }
  Index query_size() const { return words_of<T>(Tile::rows) * width_; }

  const AttentionExtents& e_;
  const AttentionOperands<T>& in_;
  const T* out_;
  const C* log_sums_;
  const T* out_gradient_;
  T* query_gradient_;
  bool relative_;
  Index width_, padded_keys_, words_;
  ScoreTile<T> tile_;
  Scratch<C> key_lines_, value_lines_, key_elements_, position_lines_, position_elements_, products_, pairs_;
  Scratch<Element> score_gradients_;
  Scratch<C> query_elements_, out_lines_, out_elements_, query_sums_;
  C* key_sums_ = nullptr;
  C* value_sums_ = nullptr;
  C* position_sums_ = nullptr;
  C* content_bias_sums_ = nullptr;
  C* position_bias_sums_ = nullptr;
  const C* log_sums_of_block_ = nullptr;
  C weighted_[Tile::rows];
};

/// Adds up what the parts of a unit of work summed, in order, and writes the gradients of one item's keys and
/// values.
template <class T>
class GradientWriter {
 public:
  using C = compute_type<T>;

  GradientWriter(const AttentionExtents& e, const GradientSums<C>& layout, const AttentionGradients<T>& out)
      : e_{e}, layout_{layout}, out_{out} {}

  void add_parts(C* sums, Index parts) const {
    for (Index part = 1; part < parts; ++part) add_row(sums, sums + part * layout_.size(), layout_.size());
  }
  void write_item(C* sums, Index slot, Index item, Index key_head) const {
    const Index d = e_.head_width, at = item * e_.keys * e_.key_width() + key_head * d;
    layout_.make_rows(layout_.keys(sums, slot), 2 * layout_.keys_size);
    // The queries that the keys' sums were made of are scaled, to the base 2.
    put_rows<C>(layout_.keys(sums, slot), layout_.padded_width, e_.keys, d, C(1 / log2_e), out_.keys + at,
                e_.key_width());
    put_rows<C>(layout_.values(sums, slot), layout_.padded_width, e_.keys, d, C(1), out_.values + at,
                e_.key_width());
  }
  void write_positions(C* sums, const DistanceRows& distances, Index head) const {
    const Index d = e_.head_width, width = layout_.padded_width;
    layout_.make_rows(layout_.positions(sums), layout_.positions_size);
    put_rows<C>(layout_.positions(sums) + (distances.last - e_.keys + 1) * width, width, e_.keys, d,
                C(1 / log2_e), out_.positions + (e_.keys - 1) * e_.width() + head * d, -e_.width());
    put_rows<C>(layout_.content_bias(sums), width, 1, d, C(1), out_.content_bias + head * d, d);
    put_rows<C>(layout_.position_bias(sums), width, 1, d, C(1), out_.position_bias + head * d, d);
  }

 private:
  /// to[j] += from[j] for j < count, a multiple of the lanes.
  static void add_row(C* to, const C* from, Index count) {
    using P = Packet<C>;
    for (Index j = 0; j < count; j += P::size) (P::load(to + j) + P::load(from + j)).store(to + j);
  }

  const AttentionExtents& e_;
  const GradientSums<C>& layout_;
  const AttentionGradients<T>& out_;
};

}  // namespace burrow::cpu::detail
