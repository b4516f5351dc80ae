// GPT-2 (Radford et al. 2019) of any size, made of burrow's layers.
#pragma once

#include <cmath>
#include <vector>

#include <burrow/nn/attention.hpp>
#include <burrow/nn/combinators.hpp>
#include <burrow/ops/linear_cross_entropy/linear_cross_entropy.hpp>

#include "benchmarks/train_step/model_step.hpp"

namespace benchmarks {

using burrow::dyn;

/// [batch, time, width] to the same.
template <class Policy>
struct Gpt2Block {
  burrow::LayerNorm<dyn, Policy> attention_norm, mlp_norm;
  burrow::CausalSelfAttention<dyn, dyn, Policy> attention;
  burrow::Mlp<dyn, dyn, Policy> mlp;

  static Gpt2Block sized(const gopher::ModelSize& size) {
    using Norm = burrow::LayerNorm<dyn, Policy>;
    const auto in = burrow::init::normal(0.02f);
    const auto out = burrow::init::normal(0.02f / std::sqrt(2.0f * static_cast<float>(size.layers)));
    return {Norm::sized(size.width), Norm::sized(size.width),
            burrow::CausalSelfAttention<dyn, dyn, Policy>::sized(size.width, size.heads, in, out),
            burrow::Mlp<dyn, dyn, Policy>::sized(size.width, size.feed_forward, in, out)};
  }

  auto operator()(const auto& x) const {
    const auto [h, normed] = mlp_norm.add(x, attention(attention_norm(x)));
    return h + mlp(normed);
  }
};

/// Tokens [batch, time] to a loss.
template <class Policy>
struct Gpt2 {
  burrow::Embedding<dyn, dyn, Policy> embedding;
  burrow::PositionEmbedding<dyn, dyn, Policy> positions;
  burrow::Repeat<Gpt2Block<Policy>, dyn> blocks;
  burrow::LayerNorm<dyn, Policy> norm;

  static Gpt2 sized(const gopher::ModelSize& size) {
    std::vector<Gpt2Block<Policy>> blocks;
    for (burrow::Index i = 0; i < size.layers; ++i) blocks.push_back(Gpt2Block<Policy>::sized(size));
    return {burrow::Embedding<dyn, dyn, Policy>::sized(size.vocabulary, size.width),
            burrow::PositionEmbedding<dyn, dyn, Policy>::sized(size.context, size.width),
            {std::move(blocks), {}},
            burrow::LayerNorm<dyn, Policy>::sized(size.width)};
  }

  auto loss(const auto& ids, const auto& targets) const {
    const auto hidden = norm(blocks(positions(embedding(ids))));
    return burrow::linear_cross_entropy(hidden, embedding.table, targets);
  }
};

template <class Policy>
std::unique_ptr<TrainStep> gpt2_step(const gopher::ModelSize& size, gopher::Index batch,
                                     burrow::Rematerialization rematerialize) {
  auto model = Gpt2<Policy>::sized(size);
  model.blocks.rematerialize = rematerialize;
  return std::make_unique<ModelStep<Gpt2<Policy>>>(std::move(model), size, batch);
}

}  // namespace benchmarks
