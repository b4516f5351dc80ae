// The words that a rank has of a vocabulary that several share.
#pragma once

#include <algorithm>
#include <cmath>

#include <burrow/distributed/communicator.hpp>
#include <burrow/distributed/tensor_parallel.hpp>
#include <burrow/ops/embedding/embedding.hpp>
#include <burrow/ops/linear_cross_entropy/cpu.hpp>

namespace burrow {

/// Which words each of a group of ranks has. In linear_cross_entropy it stands for detail::WholeVocabulary.
template <Communicator Ranks>
struct VocabularyPart {
  static constexpr bool whole = false;
  Ranks ranks{};
  Partition parts{0, 1};

  /// All words, on one rank.
  explicit VocabularyPart(Index words = 0) : parts{words, 1} {}
  VocabularyPart(Index words, const Ranks& of)
      : ranks{of}, parts{detail::parts_in_units("words", words, 1, of.size())} {}

  /// Words of the whole vocabulary.
  Index words(Index) const { return parts.count(); }
  Index first() const { return parts.begin(ranks.rank()); }
  /// The most words that a rank has.
  Index block_words(Index) const {
    Index most = 0;
    for (int r = 0; r < parts.ranks(); ++r) most = std::max(most, parts.size(r));
    return most;
  }

  /// What is known of rows of logits from this rank's words becomes what is known from all words; the same on
  /// all ranks. scales[r] * exp(logit - this rank's maximum) is the softmax.
  template <class C>
  void join(detail::PartialLogSumExp<C>* known, Index rows, C* scales) const {
    const auto count = static_cast<std::size_t>(rows);
    std::vector<C, PoolAllocator<C>> maxima(count), sums(2 * count);
    for (std::size_t r = 0; r < count; ++r) maxima[r] = known[r].maximum;
    ranks.all_reduce(std::span<C>{maxima}, Reduction::max);
    for (std::size_t r = 0; r < count; ++r) {
      scales[r] = std::exp(known[r].maximum - maxima[r]);
      sums[2 * r] = known[r].sum * scales[r];
      sums[2 * r + 1] = known[r].target;
    }
    ranks.all_reduce(std::span<C>{sums});
    for (std::size_t r = 0; r < count; ++r) {
      known[r] = {maxima[r], sums[2 * r], sums[2 * r + 1]};
      scales[r] /= known[r].sum;
    }
  }

  /// ids counted from this rank's first word, 0 for words of others, and [..., 1]: 1 where the word is here,
  /// else 0. Throws ValueError where an id is no word.
  template <class T, Expression Ids>
  auto own_ids(const Ids& ids, Location where = Location::here()) const {
    using S = shape_of<Ids>;
    using D = device_of<Ids>;
    const auto all = dense_operand(detail::NoTape{}, stop_gradient(ids));
    detail::check_indices(D{}, "embedding", "id", all.data(), all.shape(), parts.count(), false, where);
    using Column = ShapeOf<detail::appended<S, 1>>;
    std::array<Index, Column::extents.size()> extents{};
    std::copy_n(all.shape().values().begin(), extents.size() - 1, extents.begin());
    extents.back() = 1;
    Tensor<element_of<Ids>, S, D> own{all.shape()};
    Tensor<T, Column, D> here{Column{extents}};
    const Index begin = first(), end = parts.end(ranks.rank());
    for (Index i = 0; i < own.size(); ++i) {
      const auto id = static_cast<Index>(all.data()[i]);
      const bool mine = begin <= id && id < end;
      own.data()[i] = static_cast<element_of<Ids>>(mine ? id - begin : 0);
      here.data()[i] = static_cast<T>(mine ? 1.0f : 0.0f);
    }
    return std::pair{std::move(own), std::move(here)};
  }
};

}  // namespace burrow
