// Causal attention on the CPU, one head at a time in blocks of query rows, with or without Transformer-XL
// relative positions. Scores of a block are the only ones in memory; the backward pass computes them again.
#pragma once

#include <burrow/ops/matmul/cpu.hpp>
#include <burrow/tensor/evaluate.hpp>

namespace burrow::cpu {

/// Extents of one attention: `memory` = keys - queries is how many keys come before the first query.
struct AttentionExtents {
  Index batch, queries, keys, heads, head_width;
  Index width() const { return heads * head_width; }
  Index memory() const { return keys - queries; }
};

/// Operands of one attention; queries [batch, queries, width], keys and values [batch, keys, width]. Where
/// `positions` is not null it is [>= keys, width], row delta for distance delta, and the biases are [width].
template <class T>
struct AttentionOperands {
  const T *queries, *keys, *values;
  const T *positions = nullptr, *content_bias = nullptr, *position_bias = nullptr;
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

/// Scratch memory for arrays of C, from the pool.
template <class C>
class Scratch {
 public:
  explicit Scratch(Index count) : buffer_{std::max<Index>(count, 1) * Index{sizeof(C)}} {}
  C* data() const { return static_cast<C*>(buffer_.data()); }

 private:
  Buffer<Cpu> buffer_;
};

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

/// One head of one batch item with its operands in compute precision; relative positions are stored by
/// falling distance.
template <class T>
class AttentionHead {
 public:
  using C = compute_type<T>;

  AttentionHead(const AttentionExtents& e, const AttentionOperands<T>& in, Index item, Index head)
      : e_{e},
        relative_{in.positions != nullptr},
        scale_{C(1) / std::sqrt(static_cast<C>(e.head_width))},
        queries_{in.queries + item * e.queries * e.width() + head * e.head_width},
        content_bias_{relative_ ? in.content_bias + head * e.head_width : nullptr},
        position_bias_{relative_ ? in.position_bias + head * e.head_width : nullptr},
        keys_{e.keys * e.head_width},
        values_{e.keys * e.head_width},
        positions_{relative_ ? e.keys * e.head_width : 0},
        content_query_{attention_rows * e.head_width},
        position_query_{attention_rows * e.head_width},
        scores_{attention_rows * e.keys},
        position_scores_{attention_rows * e.keys} {
    const Index offset = item * e.keys * e.width() + head * e.head_width;
    gather_head(in.keys + offset, e.width(), e.keys, e.head_width, false, keys_.data());
    gather_head(in.values + offset, e.width(), e.keys, e.head_width, false, values_.data());
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
    if (!relative_) return;
    // Column c of the position scores belongs to distance n - 1 - c; row a's key j stands at column j + rows
    // - 1 - a.
    product<C>(rows, n, d, scale_, {position_query_.data(), d},
               {positions_.data() + (e_.keys - n) * d, d, true}, false, {position_scores_.data(), n});
    for (Index a = 0; a < rows; ++a) {
      C* const to = scores_.data() + a * n;
      const C* const from = position_scores_.data() + a * n + rows - 1 - a;
      const Index count = visible_row(first, a);
      burrow::detail::for_packets<lanes<C>>(0, count, [&]<bool Full>(Index j, Index m) {
        using P = Packet<C>;
        burrow::detail::store_packet(
            to + j, Full ? P::load(to + j) + P::load(from + j) : P::load(to + j, m) + P::load(from + j, m), m,
            Full);
      });
    }
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
  Scratch<C> keys_, values_, positions_, content_query_, position_query_, scores_, position_scores_;
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
        log_sums[task * e.queries + first + a] = tops[a] + std::log(sums[a]);
        T* const to = out + (item * e.queries + first + a) * e.width() + head * d;
        for (Index j = 0; j < d; ++j) to[j] = static_cast<T>(result.data()[a * d + j] / sums[a]);
      }
    }
  });
}

/// Attention backward from the gradient of its output. Sums over batch items and query rows run in a fixed
/// order.
template <class T>
void attention_backward(const AttentionExtents& e, const AttentionOperands<T>& in, const T* out,
                        const compute_type<T>* log_sums, const T* out_gradient,
                        const AttentionGradients<T>& gradients) {
  using C = compute_type<T>;
  parallel_tasks(e.heads, [&](Index head) {
    const Index d = e.head_width, block = detail::attention_rows;
    const bool relative = in.positions != nullptr;
    const detail::Scratch<C> dkeys{e.keys * d}, dvalues{e.keys * d}, dpositions{e.keys * d};
    const detail::Scratch<C> dscores{block * e.keys}, dout{block * d}, dcontent{block * d},
        dposition{block * d};
    const detail::Scratch<C> dcontent_bias{d}, dposition_bias{d};
    std::fill_n(dpositions.data(), e.keys * d, C(0));
    std::fill_n(dcontent_bias.data(), d, C(0));
    std::fill_n(dposition_bias.data(), d, C(0));
    for (Index item = 0; item < e.batch; ++item) {
      detail::AttentionHead<T> h{e, in, item, head};
      std::fill_n(dkeys.data(), e.keys * d, C(0));
      std::fill_n(dvalues.data(), e.keys * d, C(0));
      for (Index first = 0; first < e.queries; first += block) {
        const Index rows = std::min(block, e.queries - first), n = h.visible(first, rows);
        const Index at = (item * e.queries + first) * e.width() + head * d;
        C sums[detail::attention_rows], weighted[detail::attention_rows];
        detail::gather_head(out_gradient + at, e.width(), rows, d, false, dout.data());
        for (Index a = 0; a < rows; ++a) {
          weighted[a] = 0;
          for (Index j = 0; j < d; ++j)
            weighted[a] += dout.data()[a * d + j] * static_cast<C>(out[at + a * e.width() + j]);
        }
        h.score(first, rows);
        const C* const logs = log_sums + (item * e.heads + head) * e.queries + first;
        h.exponentiate(
            first, rows, [&](const C*, Index, Index a) { return logs[a]; }, sums);
        detail::product<C>(n, d, rows, C(1), {h.scores(), n, true}, {dout.data(), d}, true,
                           {dvalues.data(), d});
        detail::product<C>(rows, n, d, C(1), {dout.data(), d}, {h.values(), d, true}, false,
                           {dscores.data(), n});
        for (Index a = 0; a < rows; ++a) {
          C* const ds = dscores.data() + a * n;
          const C* const p = h.scores() + a * n;
          for (Index j = 0; j < n; ++j) ds[j] = p[j] * (ds[j] - weighted[a]) * h.scale();
        }
        detail::product<C>(rows, d, n, C(1), {dscores.data(), n}, {h.keys(), d}, false, {dcontent.data(), d});
        detail::product<C>(n, d, rows, C(1), {dscores.data(), n, true}, {h.content_query(), d}, true,
                           {dkeys.data(), d});
        if (relative) {
          // The gradient of the position scores: row a's key j moves to column j + rows - 1 - a.
          C* const skewed = h.position_scores();
          for (Index a = 0; a < rows; ++a) {
            const Index shift = rows - 1 - a;
            std::fill_n(skewed + a * n, shift, C(0));
            std::copy_n(dscores.data() + a * n, n - shift, skewed + a * n + shift);
          }
          detail::product<C>(rows, d, n, C(1), {skewed, n}, {h.positions(n), d}, false,
                             {dposition.data(), d});
          detail::product<C>(n, d, rows, C(1), {skewed, n, true}, {h.position_query(), d}, true,
                             {dpositions.data() + (e.keys - n) * d, d});
        }
        for (Index a = 0; a < rows; ++a)
          for (Index j = 0; j < d; ++j) {
            C total = dcontent.data()[a * d + j];
            dcontent_bias.data()[j] += total;
            if (relative) {
              dposition_bias.data()[j] += dposition.data()[a * d + j];
              total += dposition.data()[a * d + j];
            }
            gradients.queries[at + a * e.width() + j] = static_cast<T>(total);
          }
      }
      const Index offset = item * e.keys * e.width() + head * d;
      detail::scatter_head(dkeys.data(), e.width(), e.keys, d, false, gradients.keys + offset);
      detail::scatter_head(dvalues.data(), e.width(), e.keys, d, false, gradients.values + offset);
    }
    if (relative) {
      detail::scatter_head(dpositions.data(), e.width(), e.keys, d, true, gradients.positions + head * d);
      detail::scatter_head(dcontent_bias.data(), d, 1, d, false, gradients.content_bias + head * d);
      detail::scatter_head(dposition_bias.data(), d, 1, d, false, gradients.position_bias + head * d);
    }
  });
}

}  // namespace burrow::cpu
