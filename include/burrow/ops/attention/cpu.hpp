// Causal attention on the CPU, one head at a time in blocks of query rows: plain, with linear biases, or with
// Transformer-XL relative positions. Scores of a block are the only ones in memory; the backward pass
// computes them again. Key/value heads that serve several query heads are read where they lie.
#pragma once

#include <burrow/ops/matmul/cpu.hpp>
#include <burrow/tensor/evaluate.hpp>

namespace burrow::cpu {

/// Extents of one attention: `memory` = keys - queries is how many keys come before the first query; each of
/// the `key_heads` heads of keys and values serves the next `group` query heads.
struct AttentionExtents {
  Index batch, queries, keys, heads, head_width, key_heads;
  Index width() const { return heads * head_width; }
  Index key_width() const { return key_heads * head_width; }
  Index group() const { return heads / key_heads; }
  Index memory() const { return keys - queries; }
};

/// Operands of one attention; queries [batch, queries, width], keys and values [batch, keys, key_width].
/// Where `positions` is not null it is [>= keys, width], row delta for distance delta, and the biases are
/// [width]; as many key heads as heads then. Where `slopes` is not null, it is [heads]: a score falls by its
/// head's slope for each step of distance.
template <class T>
struct AttentionOperands {
  const T *queries, *keys, *values;
  const T *positions = nullptr, *content_bias = nullptr, *position_bias = nullptr;
  const compute_type<T>* slopes = nullptr;
};

/// Gradients of the operands, each of its operand's shape; all are written.
template <class T>
struct AttentionGradients {
  T *queries, *keys, *values;
  T *positions = nullptr, *content_bias = nullptr, *position_bias = nullptr;
};

namespace detail {

/// Query rows in a block.
inline constexpr Index attention_rows = 64;

/// Copies `rows` rows of a head's columns, in order or reversed.
template <class C, class T>
void gather_head(const T* from, Index stride, Index rows, Index head_width, bool reversed, C* to) {
  for (Index i = 0; i < rows; ++i) {
    const T* const row = from + (reversed ? rows - 1 - i : i) * stride;
    for (Index j = 0; j < head_width; ++j) to[i * head_width + j] = static_cast<C>(row[j]);
  }
}

template <class C, class T>
void scatter_head(const C* from, Index stride, Index rows, Index head_width, bool reversed, T* to) {
  for (Index i = 0; i < rows; ++i) {
    T* const row = to + (reversed ? rows - 1 - i : i) * stride;
    for (Index j = 0; j < head_width; ++j) row[j] = static_cast<T>(from[i * head_width + j]);
  }
}

template <class C>
C inverse_sqrt(Index width) {
  return C(1) / burrow::detail::number::sqrt(static_cast<C>(width));
}

/// to[j] += from[j] for j < count.
template <class C>
void add_row(C* to, const C* from, Index count) {
  using P = Packet<C>;
  burrow::detail::for_packets<lanes<C>>(0, count, [&]<bool Full>(Index j, Index m) {
    burrow::detail::store_packet(
        to + j, Full ? P::load(to + j) + P::load(from + j) : P::load(to + j, m) + P::load(from + j, m), m,
        Full);
  });
}

/// One head of one batch item with its operands in compute precision; relative positions and linear biases
/// are stored by falling distance.
template <class T>
class AttentionHead {
 public:
  using C = compute_type<T>;

  AttentionHead(const AttentionExtents& e, const AttentionOperands<T>& in, Index item, Index head)
      : e_{e},
        relative_{in.positions != nullptr},
        scale_{inverse_sqrt<C>(e.head_width)},
        queries_{in.queries + item * e.queries * e.width() + head * e.head_width},
        content_bias_{relative_ ? in.content_bias + head * e.head_width : nullptr},
        position_bias_{relative_ ? in.position_bias + head * e.head_width : nullptr},
        linear_{in.slopes != nullptr},
        keys_{e.keys * e.head_width},
        values_{e.keys * e.head_width},
        positions_{relative_ ? e.keys * e.head_width : 0},
        content_query_{attention_rows * e.head_width},
        position_query_{attention_rows * e.head_width},
        scores_{attention_rows * e.keys},
        position_scores_{relative_ ? attention_rows * e.keys : 0},
        linear_biases_{linear_ ? e.keys : 0} {
    const Index offset = item * e.keys * e.key_width() + head / e.group() * e.head_width;
    gather_head(in.keys + offset, e.key_width(), e.keys, e.head_width, false, keys_.data());
    gather_head(in.values + offset, e.key_width(), e.keys, e.head_width, false, values_.data());
    for (Index j = 0; j < (linear_ ? e.keys : 0); ++j)
      linear_biases_.data()[j] = -in.slopes[head] * static_cast<C>(e.keys - 1 - j);
    if (relative_)
      gather_head(in.positions + head * e.head_width, e.width(), e.keys, e.head_width, true,
                  positions_.data());
  }

  /// Number of keys that a block of `rows` query rows from `first` sees.
  Index visible(Index first, Index rows) const { return first + e_.memory() + rows; }
  /// Number of keys that row a of the block sees.
  Index visible_row(Index first, Index a) const { return first + e_.memory() + a + 1; }

  /// Fills the block's scaled scores; entries beyond a row's visible keys are meaningless.
  void score(Index first, Index rows) {
    const Index n = visible(first, rows), d = e_.head_width;
    for (Index a = 0; a < rows; ++a)
      for (Index j = 0; j < d; ++j) {
        const C q = static_cast<C>(queries_[(first + a) * e_.width() + j]);
        content_query_.data()[a * d + j] = relative_ ? q + static_cast<C>(content_bias_[j]) : q;
        if (relative_) position_query_.data()[a * d + j] = q + static_cast<C>(position_bias_[j]);
      }
    product<C>(rows, n, d, scale_, {content_query_.data(), d}, {keys_.data(), d, true}, false,
               {scores_.data(), n});
    if (linear_)
      for (Index a = 0; a < rows; ++a) {
        const Index count = visible_row(first, a);
        add_row(scores_.data() + a * n, linear_biases_.data() + e_.keys - count, count);
      }
    if (!relative_) return;
    // Column c of the position scores belongs to distance n - 1 - c; row a's key j stands at column j + rows
    // - 1 - a.
    product<C>(rows, n, d, scale_, {position_query_.data(), d},
               {positions_.data() + (e_.keys - n) * d, d, true}, false, {position_scores_.data(), n});
    for (Index a = 0; a < rows; ++a)
      add_row(scores_.data() + a * n, position_scores_.data() + a * n + rows - 1 - a, visible_row(first, a));
  }

  /// Turns scores into exp(score - shift[a]) row by row, zero beyond the visible keys; returns row sums
  /// through `sums`.
  template <class Shift>
  void exponentiate(Index first, Index rows, const Shift& shift, C* sums) {
    using P = Packet<C>;
    const Index n = visible(first, rows);
    for (Index a = 0; a < rows; ++a) {
      C* const row = scores_.data() + a * n;
      const Index count = visible_row(first, a);
      const P by(shift(row, count, a));
      P total(C(0));
      burrow::detail::for_packets<lanes<C>>(0, count, [&]<bool Full>(Index j, Index m) {
        const P y = exp((Full ? P::load(row + j) : P::load(row + j, m)) - by);
        burrow::detail::store_packet(row + j, y, m, Full);
        if constexpr (Full)
          total = total + y;
        else
          total = total + P::load(row + j, m);
      });
      sums[a] = reduce_add(total);
      std::fill(row + count, row + n, C(0));
    }
  }

  static C largest(const C* row, Index count) {
    using P = Packet<C>;
    C top = row[0];
    Index j = 0;
    P best(row[0]);
    for (; j + P::size <= count; j += P::size) best = maximum(best, P::load(row + j));
    top = reduce_max(best);
    for (; j < count; ++j) top = std::max(top, row[j]);
    return top;
  }

  const AttentionExtents& extents() const { return e_; }
  bool relative() const { return relative_; }
  C scale() const { return scale_; }
  C* scores() { return scores_.data(); }
  C* position_scores() { return position_scores_.data(); }
  const C* keys() const { return keys_.data(); }
  const C* values() const { return values_.data(); }
  /// Projected positions of the distances n - 1, ..., 0.
  const C* positions(Index n) const { return positions_.data() + (e_.keys - n) * e_.head_width; }
  const C* content_query() const { return content_query_.data(); }
  const C* position_query() const { return position_query_.data(); }

 private:
  AttentionExtents e_;
  bool relative_;
  C scale_;
  const T* queries_;
  const T* content_bias_;
  const T* position_bias_;
  bool linear_;
  Scratch<C> keys_, values_, positions_, content_query_, position_query_, scores_, position_scores_,
      linear_biases_;
};

}  // namespace detail

/// Attention forward: writes `out` [batch, queries, width] and the log-sum-exp of each row's scores [batch,
/// heads, queries].
template <class T>
void attention_forward(const AttentionExtents& e, const AttentionOperands<T>& in, T* out,
                       compute_type<T>* log_sums) {
  using C = compute_type<T>;
  parallel_tasks(e.batch * e.heads, [&](Index task) {
    const Index item = task / e.heads, head = task % e.heads, d = e.head_width;
    detail::AttentionHead<T> h{e, in, item, head};
    const detail::Scratch<C> result{detail::attention_rows * d};
    C sums[detail::attention_rows], tops[detail::attention_rows];
    for (Index first = 0; first < e.queries; first += detail::attention_rows) {
      const Index rows = std::min(detail::attention_rows, e.queries - first), n = h.visible(first, rows);
      h.score(first, rows);
      h.exponentiate(
          first, rows, [&](const C* row, Index count, Index a) { return tops[a] = h.largest(row, count); },
          sums);
      detail::product<C>(rows, d, n, C(1), {h.scores(), n}, {h.values(), d}, false, {result.data(), d});
      for (Index a = 0; a < rows; ++a) {
        log_sums[task * e.queries + first + a] = tops[a] + burrow::detail::number::log(sums[a]);
        T* const to = out + (item * e.queries + first + a) * e.width() + head * d;
        for (Index j = 0; j < d; ++j) to[j] = static_cast<T>(result.data()[a * d + j] / sums[a]);
      }
    }
  });
}

namespace detail {

/// The backward pass of the heads that share one head of keys and values.
template <class T>
class AttentionGradientHead {
 public:
  using C = compute_type<T>;

  AttentionGradientHead(const AttentionExtents& e, const AttentionOperands<T>& in, const T* out,
                        const C* log_sums, const T* out_gradient, const AttentionGradients<T>& gradients)
      : e_{e},
        in_{in},
        out_{out},
        log_sums_{log_sums},
        out_gradient_{out_gradient},
        gradients_{gradients},
        relative_{in.positions != nullptr},
        dkeys_{e.keys * e.head_width},
        dvalues_{e.keys * e.head_width},
        dpositions_{relative_ ? e.keys * e.head_width : 0},
        dscores_{attention_rows * e.keys},
        dout_{attention_rows * e.head_width},
        dcontent_{attention_rows * e.head_width},
        dposition_{attention_rows * e.head_width},
        dcontent_bias_{e.head_width},
        dposition_bias_{e.head_width} {
    if (relative_) std::fill_n(dpositions_.data(), e.keys * e.head_width, C(0));
    std::fill_n(dcontent_bias_.data(), e.head_width, C(0));
    std::fill_n(dposition_bias_.data(), e.head_width, C(0));
  }

  /// Writes the gradients of one item's queries of these heads, and of their keys and values.
  void run(Index item, Index key_head) {
    const Index d = e_.head_width;
    std::fill_n(dkeys_.data(), e_.keys * d, C(0));
    std::fill_n(dvalues_.data(), e_.keys * d, C(0));
    for (Index head = key_head * e_.group(); head < (key_head + 1) * e_.group(); ++head) {
      AttentionHead<T> h{e_, in_, item, head};
      for (Index first = 0; first < e_.queries; first += attention_rows)
        block(h, item, head, first, std::min(attention_rows, e_.queries - first));
    }
    const Index offset = item * e_.keys * e_.key_width() + key_head * d;
    scatter_head(dkeys_.data(), e_.key_width(), e_.keys, d, false, gradients_.keys + offset);
    scatter_head(dvalues_.data(), e_.key_width(), e_.keys, d, false, gradients_.values + offset);
  }

  /// Writes the gradients of positions and biases, summed over the items that ran.
  void finish(Index head) const {
    const Index d = e_.head_width;
    scatter_head(dpositions_.data(), e_.width(), e_.keys, d, true, gradients_.positions + head * d);
    scatter_head(dcontent_bias_.data(), d, 1, d, false, gradients_.content_bias + head * d);
    scatter_head(dposition_bias_.data(), d, 1, d, false, gradients_.position_bias + head * d);
  }

 private:
  void block(AttentionHead<T>& h, Index item, Index head, Index first, Index rows) {
    const Index n = h.visible(first, rows), d = e_.head_width;
    const Index at = (item * e_.queries + first) * e_.width() + head * d;
    score_gradients(h, item, head, first, rows, at);
    product<C>(rows, d, n, C(1), {dscores_.data(), n}, {h.keys(), d}, false, {dcontent_.data(), d});
    product<C>(n, d, rows, C(1), {dscores_.data(), n, true}, {h.content_query(), d}, true,
               {dkeys_.data(), d});
    if (relative_) position_gradients(h, rows, n);
    for (Index a = 0; a < rows; ++a)
      for (Index j = 0; j < d; ++j) {
        C total = dcontent_.data()[a * d + j];
        dcontent_bias_.data()[j] += total;
        if (relative_) {
          dposition_bias_.data()[j] += dposition_.data()[a * d + j];
          total += dposition_.data()[a * d + j];
        }
        gradients_.queries[at + a * e_.width() + j] = static_cast<T>(total);
      }
  }

  /// The gradients of the block's scores and of the values, from the probabilities computed again.
  void score_gradients(AttentionHead<T>& h, Index item, Index head, Index first, Index rows, Index at) {
    const Index n = h.visible(first, rows), d = e_.head_width;
    C sums[attention_rows], weighted[attention_rows];
    gather_head(out_gradient_ + at, e_.width(), rows, d, false, dout_.data());
    for (Index a = 0; a < rows; ++a) {
      weighted[a] = 0;
      for (Index j = 0; j < d; ++j)
        weighted[a] += dout_.data()[a * d + j] * static_cast<C>(out_[at + a * e_.width() + j]);
    }
    h.score(first, rows);
    const C* const logs = log_sums_ + (item * e_.heads + head) * e_.queries + first;
    h.exponentiate(
        first, rows, [&](const C*, Index, Index a) { return logs[a]; }, sums);
    product<C>(n, d, rows, C(1), {h.scores(), n, true}, {dout_.data(), d}, true, {dvalues_.data(), d});
    product<C>(rows, n, d, C(1), {dout_.data(), d}, {h.values(), d, true}, false, {dscores_.data(), n});
    for (Index a = 0; a < rows; ++a) {
      C* const ds = dscores_.data() + a * n;
      const C* const p = h.scores() + a * n;
      for (Index j = 0; j < n; ++j) ds[j] = p[j] * (ds[j] - weighted[a]) * h.scale();
    }
  }

  /// The gradient of the position scores: row a's key j moves to column j + rows - 1 - a.
  void position_gradients(AttentionHead<T>& h, Index rows, Index n) {
    const Index d = e_.head_width;
    C* const skewed = h.position_scores();
    for (Index a = 0; a < rows; ++a) {
      const Index shift = rows - 1 - a;
      std::fill_n(skewed + a * n, shift, C(0));
      std::copy_n(dscores_.data() + a * n, n - shift, skewed + a * n + shift);
    }
    product<C>(rows, d, n, C(1), {skewed, n}, {h.positions(n), d}, false, {dposition_.data(), d});
    product<C>(n, d, rows, C(1), {skewed, n, true}, {h.position_query(), d}, true,
               {dpositions_.data() + (e_.keys - n) * d, d});
  }

  const AttentionExtents& e_;
  const AttentionOperands<T>& in_;
  const T* out_;
  const C* log_sums_;
  const T* out_gradient_;
  const AttentionGradients<T>& gradients_;
  bool relative_;
  Scratch<C> dkeys_, dvalues_, dpositions_, dscores_, dout_, dcontent_, dposition_, dcontent_bias_,
      dposition_bias_;
};

}  // namespace detail

/// Attention backward from the gradient of its output. Sums over batch items, the heads that share keys, and
/// query rows run in a fixed order.
template <class T>
void attention_backward(const AttentionExtents& e, const AttentionOperands<T>& in, const T* out,
                        const compute_type<T>* log_sums, const T* out_gradient,
                        const AttentionGradients<T>& gradients) {
  const bool over_items = in.positions == nullptr;  // nothing is summed over the items then
  parallel_tasks(e.key_heads * (over_items ? e.batch : 1), [&](Index task) {
    const Index head = task % e.key_heads;
    detail::AttentionGradientHead<T> gradient{e, in, out, log_sums, out_gradient, gradients};
    if (over_items) return gradient.run(task / e.key_heads, head);
    for (Index item = 0; item < e.batch; ++item) gradient.run(item, head);
    gradient.finish(head);
  });
}

}  // namespace burrow::cpu
