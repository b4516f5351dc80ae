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
  using Element = TileElement<T>;
  static constexpr Index most_queries = 4;
  static constexpr Index chunks = 8, shortest = 16, longest = 128;  // aimed at; keys of one
  static constexpr Index rows_ahead = 4;  // that are asked of memory before they are needed
  static constexpr Index group = 4;       // keys whose values are added while an output stays in registers

  KeyChunks(const AttentionExtents& e, const AttentionOperands<T>& in)
      : e_{e},
        in_{in},
        length_{std::clamp(round_up((e.keys + chunks - 1) / chunks, P::size), shortest, longest)},
        chunks_{(e.keys + length_ - 1) / length_},
        rows_{e.queries * e.heads},
        content_query_{e.batch * rows_ * e.head_width},
        position_query_{in.positions != nullptr ? e.batch * rows_ * e.head_width : 0},
        rounded_{elements_per_word<T> == 1 ? 0 : 2 * e.batch * rows_ * e.head_width},
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
    if constexpr (elements_per_word<T> == 2) {
      const Index size = e.batch * rows_ * e.head_width;
      for (Index l = 0; l < size; ++l) rounded_.data()[l] = static_cast<T>(content_query_.data()[l]);
      for (Index l = 0; l < (in.positions != nullptr ? size : 0); ++l)
        rounded_.data()[size + l] = static_cast<T>(position_query_.data()[l]);
    }
  }

  Index count() const { return e_.batch * chunks_; }

  void run(Index task) {
    const Index item = task / chunks_, begin = task % chunks_ * length_;
    const Index end = std::min(begin + length_, e_.keys);
    const Scratch<C> room{rows_ * length_};
    C* const scores = room.data();
    for (Index j = begin; j < end; ++j)
      for (Index i = first_query(j); i < e_.queries; ++i) score(item, i, j, scores + j - begin);
    for (Index i = 0; i < e_.queries; ++i)
      for (Index head = 0; head < e_.heads; ++head)
        exponentiate(i, begin, scores + (i * e_.heads + head) * length_, task * rows_ + i * e_.heads + head);
    C* const outputs = outputs_.data() + task * rows_ * e_.head_width;
    std::fill_n(outputs, rows_ * e_.head_width, C(0));
    for (Index j = begin; j < end; j += group)
      for (Index i = 0; i < e_.queries; ++i)
        add_values(item, i, j, std::min({group, seen(i, j), end - j}), scores + j - begin, outputs);
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
  /// How many keys from key j on query i sees.
  Index seen(Index i, Index j) const { return std::max<Index>(i + e_.memory() + 1 - j, 0); }

  /// The whole vectors of a head's x . y, y being element `at` on of content or position queries.
  P dot(const T* x, const Scratch<C>& queries, Index at, P sum) const {
    const C* const y = queries.data() + at;
    Index l = 0;
    if constexpr (elements_per_word<T> == 2) {
      const Index before = &queries == &content_query_ ? 0 : e_.batch * rows_ * e_.head_width;
      const Element* const rounded = rounded_.data() + before + at;
      for (; l + 2 * P::size <= e_.head_width; l += 2 * P::size)
        sum = multiply_add_words<T>(words_along<T>(x + l), words_along<T>(rounded + l), sum);
    }
    for (; l + P::size <= e_.head_width; l += P::size)
      sum = fused_multiply_add(P::load(x + l), P::load(y + l), sum);
    return sum;
  }

  /// Asks memory for a head of the row that lies `ahead` elements from x.
  void expect(const T* x, Index ahead) const {
    for (Index l = 0; l < e_.head_width; l += 64 / Index{sizeof(T)}) fetch(x, (ahead + l) * Index{sizeof(T)});
  }

  /// What is left of a score after the whole vectors.
  C rest(const T* key, const T* r, Index query, Index head, Index distance) const {
    const C* const content = content_query_.data() + query;
    const C* const position = position_query_.data() + query;
    C total(0);
    for (Index l = e_.head_width / P::size * P::size; l < e_.head_width; ++l) {
      total += static_cast<C>(key[l]) * content[l];
      if (r != nullptr) total += static_cast<C>(r[l]) * position[l];
    }
    if (in_.slopes != nullptr) total -= in_.slopes[head] * C(log2_e) * static_cast<C>(distance);
    return total;
  }

  /// Scores of query i and key j of all heads, `length_` apart.
  void score(Index item, Index i, Index j, C* to) const {
    const Index d = e_.head_width, query = (item * e_.queries + i) * e_.width();
    const T* const keys = in_.keys + (item * e_.keys + j) * e_.key_width();
    const Index distance = i + e_.memory() - j;
    to += i * e_.heads * length_;
    for (Index head = 0; head < e_.heads; ++head) {
      const T* const key = keys + head / e_.group() * d;
      const T* const r =
          in_.positions != nullptr ? in_.positions + distance * e_.width() + head * d : nullptr;
      expect(key, rows_ahead * e_.key_width());
      if (r != nullptr) expect(r, -rows_ahead * e_.width());
      P sum = dot(key, content_query_, query + head * d, P(C(0)));
      if (r != nullptr) sum = dot(r, position_query_, query + head * d, sum);
      to[head * length_] = reduce_add(sum) + rest(key, r, query + head * d, head, distance);
    }
  }

  void exponentiate(Index i, Index begin, C* x, Index at) {
    const Index count = std::clamp<Index>(i + e_.memory() + 1 - begin, 0, std::min(length_, e_.keys - begin));
    const Index whole = round_up(count, P::size);
    std::fill(x + count, x + whole, -std::numeric_limits<C>::infinity());
    P tops(-std::numeric_limits<C>::infinity());
    for (Index j = 0; j < whole; j += P::size) tops = larger(tops, P::load(x + j));
    const C top = reduce_max(tops);
    P total(C(0));
    for (Index j = 0; j < whole; j += P::size) {
      const P y = power_of_two(P::load(x + j) - P(top));
      y.store(x + j);
      total = total + y;
    }
    tops_.data()[at] = top;
    sums_.data()[at] = reduce_add(total);
  }

  /// Adds the values of `count` keys from j on, by the shares of query i, to the outputs of all heads.
  void add_values(Index item, Index i, Index j, Index count, const C* shares, C* outputs) const {
    const Index d = e_.head_width, step = e_.key_width();
    const T* const values = in_.values + (item * e_.keys + j) * step;
    for (Index head = 0; head < e_.heads; ++head) {
      const Index row = i * e_.heads + head;
      const C* const share = shares + row * length_;
      const T* const from = values + head / e_.group() * d;
      C* const to = outputs + row * d;
      for (Index k = 0; k < count; ++k) expect(from, (k + group) * step);
      Index l = 0;
      for (; l + 2 * P::size <= d; l += 2 * P::size) {
        P first = P::load(to + l), second = P::load(to + l + P::size);
        for (Index k = 0; k < count; ++k) {
          first = fused_multiply_add(P::load(from + k * step + l), P(share[k]), first);
          second = fused_multiply_add(P::load(from + k * step + l + P::size), P(share[k]), second);
        }
        first.store(to + l);
        second.store(to + l + P::size);
      }
      for (; l < d; ++l)
        for (Index k = 0; k < count; ++k) to[l] += static_cast<C>(from[k * step + l]) * share[k];
    }
  }

  const AttentionExtents& e_;
  const AttentionOperands<T>& in_;
  Index length_, chunks_, rows_;
  Scratch<C> content_query_, position_query_;
  Scratch<Element> rounded_;
  Scratch<C> outputs_, tops_, sums_;
};

}  // namespace burrow::cpu::detail
