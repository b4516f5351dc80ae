// The layers of a transformer with the policy TensorParallel: each rank has some heads, hidden columns and
// words. They have the names and members of the whole layers, so a model made of them does not change.
#pragma once

#include <burrow/distributed/tensor_parallel.hpp>
#include <burrow/distributed/vocabulary_part.hpp>
#include <burrow/nn/attention.hpp>
#include <burrow/nn/tied_output.hpp>
#include <burrow/tensor/indexing.hpp>

namespace burrow {

/// A feed-forward block of which each rank has some of the hidden columns: one sum over the ranks forward,
/// one backward.
template <Index Width, Index Hidden, class Base, class Ranks>
struct Mlp<Width, Hidden, TensorParallel<Base, Ranks>> {
  ColumnParallelLinear<Width, Ranks, Base> up;
  RowParallelLinear<Width, Ranks, Base> down;

  static Mlp sized(Index width, Index hidden, const Initializer& in = init::fan_in(),
                   const Initializer& out = init::fan_in()) {
    return {ColumnParallelLinear<Width, Ranks, Base>::sized(width, hidden, in),
            RowParallelLinear<Width, Ranks, Base>::sized(hidden, width, out)};
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    return down(gelu(up(x, where)), where);
  }
};

/// Relative attention of which each rank has some heads, with their projections of queries, keys, values and
/// positions and their u and v. Caches hold this rank's heads.
template <Index Width, Index Heads, Index HeadWidth, class Base, class Ranks>
struct RelativeAttention<Width, Heads, HeadWidth, TensorParallel<Base, Ranks>> {
  static constexpr Index model_width = Width, inner = dyn;
  using compute = typename Base::compute;
  using cache_type = AttentionCache<dyn, compute, typename Base::device>;

  Projection<Width, dyn, Base> query, key, value, position;
  Parameter<typename Base::parameter, Shape<dyn>, typename Base::device> content_bias;
  Parameter<typename Base::parameter, Shape<dyn>, typename Base::device> position_bias;
  RowParallelLinear<Width, Ranks, Base> output;
  Extent<dyn> heads{};
  TensorGroup<Ranks> group{};

  static RelativeAttention sized(Index width, Index heads, Index head_width,
                                 const Initializer& in = init::fan_in(),
                                 const Initializer& out = init::fan_in()) {
    const Index all = heads * head_width;
    using P = Projection<Width, dyn, Base>;
    return {P::sized(width, all, in),
            P::sized(width, all, in),
            P::sized(width, all, in),
            P::sized(width, all, in),
            {Shape<dyn>{{all}}, init::normal(0.02f)},
            {Shape<dyn>{{all}}, init::normal(0.02f)},
            RowParallelLinear<Width, Ranks, Base>::sized(all, width, out, head_width),
            {heads}};
  }
  /// Keeps this rank's part of the whole layer.
  void take_part(const Ranks& of) {
    const auto parts = detail::parts_in_units("heads", output.weight.shape()[0], output.unit, of.size());
    for (auto* const projection : {&query, &key, &value, &position})
      detail::take_part_of<1>(projection->weight, parts, of.rank());
    detail::take_part_of<0>(content_bias, parts, of.rank());
    detail::take_part_of<0>(position_bias, parts, of.rank());
    heads = parts.size(of.rank()) / output.unit;
  }

  auto operator()(const auto& x, Location where = Location::here()) const {
    return output(detail::relative_heads(*this, group.enter(x, where), where), where);
  }
  /// Room for `capacity` tokens of this rank's heads.
  cache_type cache(Index capacity) const {
    return detail::relative_cache<typename Base::device>(*this, capacity);
  }
  /// The next tokens of one sequence [1, T, Width], given the cached ones before them, which they join.
  auto operator()(const auto& x, cache_type& past, Location where = Location::here()) const {
    group.require_whole_rows("decoding", where);
    return output(detail::relative_heads(*this, x, past, where), where);
  }
};

/// An embedding of which each rank has some rows: ids of others give zero, and the sum over the ranks is what
/// the whole table gives.
template <Index Vocabulary, Index Width, class Base, class Ranks>
struct Embedding<Vocabulary, Width, TensorParallel<Base, Ranks>> {
  using compute = typename Base::compute;
  Parameter<typename Base::parameter, Shape<dyn, Width>, typename Base::device> table;
  VocabularyPart<Ranks> part;
  TensorGroup<Ranks> group{};

  static Embedding sized(Index vocabulary, Index width, const Initializer& rule = init::normal(0.02f)) {
    return {{Shape<dyn, Width>{{vocabulary, width}}, rule}, VocabularyPart<Ranks>{vocabulary}};
  }
  /// Keeps this rank's part of the whole layer.
  void take_part(const Ranks& of) {
    part = VocabularyPart<Ranks>{table.shape()[0], of};
    detail::take_part_of<0>(table, part.parts, of.rank());
  }

  auto operator()(const auto& ids, Location where = Location::here()) const {
    const auto [own, here] = part.template own_ids<compute>(ids, where);
    return group.leave(embedding<compute>(table, beside(ids, own), where) * here, where);
  }
  /// Scores of every row of the whole table, on every rank: [..., Width] to [..., vocabulary].
  auto scores(const auto& hidden, Location where = Location::here()) const {
    return columns_of_parts(own_scores(hidden, where), group.ranks, part.parts);
  }
  /// Scores of this rank's rows.
  auto own_scores(const auto& hidden, Location where = Location::here()) const {
    const auto in = group.enter(hidden, where);
    const auto rows = operand(tape_of(in), table);
    return matmul(in, cast<compute>(transpose(rows)), where);
  }
};

/// The output of words of which each rank has some: a loss for which no rank has all scores of a word's
/// position.
template <Index Vocabulary, class Base, class Ranks>
struct TiedOutput<Vocabulary, TensorParallel<Base, Ranks>> {
  Parameter<typename Base::parameter, Shape<dyn>, typename Base::device> bias;
  VocabularyPart<Ranks> part;
  TensorGroup<Ranks> group{};

  static TiedOutput sized(Index vocabulary) {
    return {{Shape<dyn>{{vocabulary}}, init::zeros}, VocabularyPart<Ranks>{vocabulary}};
  }
  /// Keeps this rank's part of the whole layer.
  void take_part(const Ranks& of) {
    part = VocabularyPart<Ranks>{bias.shape()[0], of};
    detail::take_part_of<0>(bias, part.parts, of.rank());
  }
  Index vocabulary() const { return part.parts.count(); }

  /// Scores of all words, on every rank: [..., Width] to [..., vocabulary].
  auto scores(const auto& hidden, const auto& embedding, Location where = Location::here()) const {
    return columns_of_parts(embedding.own_scores(hidden, where) + cast<typename Base::compute>(bias),
                            group.ranks, part.parts);
  }
  /// As that of the whole layer, equal on all ranks; they exchange three numbers for each target.
  auto loss(const auto& hidden, const auto& embedding, const auto& targets,
            Location where = Location::here()) const {
    const auto in = group.enter(hidden, where);
    return detail::linear_cross_entropy(tape_of(in, embedding.table, bias, targets), in, embedding.table,
                                        bias, targets, where, part);
  }
};

}  // namespace burrow
