// The output of a language model whose words have the same vectors as its input embedding.
#pragma once

#include <burrow/nn/layers.hpp>
#include <burrow/ops/linear_cross_entropy/linear_cross_entropy.hpp>

namespace burrow {

/// Scores of words by an embedding's table, with a bias of its own for each word, zero at first.
template <Index Vocabulary, class Policy = Float32<Cpu>>
struct TiedOutput {
  Parameter<typename Policy::parameter, Shape<Vocabulary>, typename Policy::device> bias{init::zeros};

  static TiedOutput sized(Index vocabulary) { return {{Shape<Vocabulary>{{vocabulary}}, init::zeros}}; }
  Index vocabulary() const { return bias.shape()[0]; }

  /// hidden table^T + bias: [..., Width] to [..., Vocabulary].
  auto scores(const auto& hidden, const auto& embedding, Location where = Location::here()) const {
    return detail::map_pair(functors::Add{}, embedding.scores(hidden, where),
                            cast<typename Policy::compute>(bias), where);
  }
  /// Summed negative log-likelihood of the targets [...], in nats, and their number; see
  /// `linear_cross_entropy`. The scores are never all in memory.
  auto loss(const auto& hidden, const auto& embedding, const auto& targets,
            Location where = Location::here()) const {
    return linear_cross_entropy(hidden, embedding.table, bias, targets, where);
  }
};

}  // namespace burrow
