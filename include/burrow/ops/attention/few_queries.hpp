// Attention of a few queries, as decoding with a cache asks for it: keys, values and positions are read once,
// where they lie, by chunks of keys that all heads take together and the threads share.
#pragma once

#include <burrow/ops/attention/tile.hpp>

namespace burrow::cpu::detail {

/// The outputs of all queries of all heads over one chunk of keys, before the chunks are put together.
template <class T>
class KeyChunks {
 public:
  using C = compute_type<T>;
  using P = Packet<C>;
  static constexpr Index most_queries = 4;
  static constexpr Index length = 128;

  KeyChunks(const AttentionExtents& e, const AttentionOperands<T>& in)
      : e_{e},
        in_{in},
        chunks_{(e.keys + length - 1) / length},
        rows_{e.queries * e.heads},
        content_query_{e.batch * rows_ * e.head_width},
        position_query_{in.positions != nullptr ? e.batch * rows_ * e.head_width : 0},
        outputs_{e.batch * chunks_ * rows_ * e.head_width},
        tops_{e.batch * chunks_ * rows_},
        sums_{e.batch * chunks_ * rows_} {
    for (Index item = 0; item < e.batch; ++item)
      for (Index head = 0; head < e.heads; ++head) {
        const HeadView<T> view{e, in, item, head};
        const auto content = view.queries(0, e.queries, in.content_bias);
        const auto position = view.queries(0, e.queries, in.position_bias);
        for (Index i = 0; i < e.queries; ++i) {
          content.copy(i, view.query_row(content_query_.data(), i));
          if (in.positions != nullptr) position.copy(i, view.query_row(position_query_.data(), i));
        }
      }
  }

  Index count() const { return e_.batch * chunks_; }

  void run(Index task) {
    const Index item = task / chunks_, begin = task % chunks_ * length;
    const Index end = std::min(begin + length, e_.keys);
    const Scratch<C> room{rows_ * length};
    C* const scores = room.data();
    for (Index j = begin; j < end; ++j)
      for (Index i = first_query(j); i < e_.queries; ++i) score(item, i, j, scores + j - begin);
    for (Index i = 0; i < e_.queries; ++i)
      for (Index head = 0; head < e_.heads; ++head)
        exponentiate(i, begin, scores + (i * e_.heads + head) * length, task * rows_ + i * e_.heads + head);
    C* const outputs = outputs_.data() + task * rows_ * e_.head_width;
    std::fill_n(outputs, rows_ * e_.head_width, C(0));
    for (Index j = begin; j < end; ++j)
      for (Index i = first_query(j); i < e_.queries; ++i) add_value(item, i, j, scores + j - begin, outputs);
  }

  /// Puts the chunks together, in order.
  void finish(T* out, C* log_sums) const {
    for (Index item = 0; item < e_.batch; ++item)
      for (Index row = 0; row < rows_; ++row) {
        const Index i = row / e_.heads, head = row % e_.heads, first = item * chunks_ * rows_ + row;
        C top = tops_.data()[first], sum(0);
        for (Index c = 1; c < chunks_; ++c) top = std::max(top, tops_.data()[first + c * rows_]);
        C* const total = outputs_.data() + first * e_.head_width;
        for (Index c = 0; c < chunks_; ++c) {
          const Index at = first + c * rows_;
          const C factor = burrow::detail::number::exp2(tops_.data()[at] - top);
          const C* const part = outputs_.data() + at * e_.head_width;
          sum += sums_.data()[at] * factor;
          for (Index l = 0; l < e_.head_width; ++l)
            total[l] = c == 0 ? part[l] * factor : total[l] + part[l] * factor;
        }
        T* const to = HeadView<T>{e_, in_, item, head}.query_row(out, i);
        for (Index l = 0; l < e_.head_width; ++l) to[l] = static_cast<T>(total[l] / sum);
        log_sums[(item * e_.heads + head) * e_.queries + i] = top + burrow::detail::number::log2(sum);
      }
  }

 private:
  /// The first query that sees key j.
  Index first_query(Index j) const { return std::max<Index>(j - e_.memory(), 0); }

  /// Scores of query i and key j of all heads, `length` apart.
  void score(Index item, Index i, Index j, C* to) const {
    const Index d = e_.head_width, query = (item * e_.queries + i) * e_.width();
    const C* const content = content_query_.data() + query;
    const C* const position = position_query_.data() + query;
    const T* const key = in_.keys + (item * e_.keys + j) * e_.key_width();
    const Index distance = i + e_.memory() - j;
    const T* const r = in_.positions != nullptr ? in_.positions + distance * e_.width() : nullptr;
    to += i * e_.heads * length;
    for (Index head = 0; head < e_.heads; ++head) {
      const Index at = head * d, from = head / e_.group() * d;
      P sum(C(0));
      Index l = 0;
      for (; l + P::size <= d; l += P::size) {
        sum = fused_multiply_add(P::load(key + from + l), P::load(content + at + l), sum);
        if (r != nullptr) sum = fused_multiply_add(P::load(r + at + l), P::load(position + at + l), sum);
      }
      C total = reduce_add(sum);
      for (; l < d; ++l) {
        total += static_cast<C>(key[from + l]) * content[at + l];
        if (r != nullptr) total += static_cast<C>(r[at + l]) * position[at + l];
      }
      if (in_.slopes != nullptr) total -= in_.slopes[head] * C(log2_e) * static_cast<C>(distance);
      to[head * length] = total;
    }
  }

  void exponentiate(Index i, Index begin, C* x, Index at) {
    const Index count = std::clamp<Index>(i + e_.memory() + 1 - begin, 0, std::min(length, e_.keys - begin));
    const Index whole = round_up(count, P::size);
    std::fill(x + count, x + whole, -std::numeric_limits<C>::infinity());
    C top = -std::numeric_limits<C>::infinity();
    for (Index j = 0; j < count; ++j) top = std::max(top, x[j]);
    P total(C(0));
    for (Index j = 0; j < whole; j += P::size) {
      const P y = power_of_two(P::load(x + j) - P(top));
      y.store(x + j);
      total = total + y;
    }
    tops_.data()[at] = top;
    sums_.data()[at] = reduce_add(total);
  }

  void add_value(Index item, Index i, Index j, const C* shares, C* outputs) const {
    const Index d = e_.head_width;
    const T* const value = in_.values + (item * e_.keys + j) * e_.key_width();
    for (Index head = 0; head < e_.heads; ++head) {
      const Index row = i * e_.heads + head;
      const C share = shares[row * length];
      const T* const from = value + head / e_.group() * d;
      C* const to = outputs + row * d;
      Index l = 0;
      for (; l + P::size <= d; l += P::size)
        fused_multiply_add(P::load(from + l), P(share), P::load(to + l)).store(to + l);
      for (; l < d; ++l) to[l] += static_cast<C>(from[l]) * share;
    }
  }

  const AttentionExtents& e_;
  const AttentionOperands<T>& in_;
  Index chunks_, rows_;
  Scratch<C> content_query_, position_query_, outputs_, tops_, sums_;
};

}  // namespace burrow::cpu::detail
