// The Gopher language model (arXiv 2112.11446) as a template: pre-norm blocks as GPT-2's with RMSNorm in
// place of LayerNorm and Transformer-XL relative positions in place of absolute ones; input and output
// embeddings are tied.
#pragma once

#include <cmath>

#include <burrow/nn/attention.hpp>
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/tied_output.hpp>

#include "gopher_model/model/presets.hpp"

namespace gopher {

using namespace burrow;  // the model reads as the framework's own language

/// A model whose extents are known at run time only.
inline constexpr ModelSize run_time_size{dyn, dyn, dyn, dyn, dyn, dyn, dyn};

/// h = x + attention(norm(x)); y = h + mlp(norm(h)). [B, T, width] to [B, T, width].
template <ModelSize Size, class Policy>
struct GopherBlock {
  using attention_type = burrow::RelativeAttention<Size.width, Size.heads, Size.head_width, Policy>;

  RmsNorm<Size.width, Policy> attention_norm, mlp_norm;
  attention_type attention;
  Mlp<Size.width, Size.feed_forward, Policy> mlp;

  static GopherBlock sized(const ModelSize& size) {
    const auto in = init::normal(0.02f);
    const auto out = init::normal(0.02f / std::sqrt(2.0f * static_cast<float>(size.layers)));
    return {RmsNorm<Size.width, Policy>::sized(size.width), RmsNorm<Size.width, Policy>::sized(size.width),
            attention_type::sized(size.width, size.heads, size.head_width, in, out),
            Mlp<Size.width, Size.feed_forward, Policy>::sized(size.width, size.feed_forward, in, out)};
  }

  auto operator()(const auto& x) const {
    const auto [h, normed] = mlp_norm.add(x, attention(attention_norm(x)));
    return h + mlp(normed);
  }

  /// The same for the next tokens of one sequence, given its cache.
  auto operator()(const auto& x, typename attention_type::cache_type& past) const {
    const auto [h, normed] = mlp_norm.add(x, attention(attention_norm(x), past));
    return h + mlp(normed);
  }
  auto cache(Index capacity) const { return attention.cache(capacity); }
};

/// The language model: tokens [B, T] to logits [B, T, vocabulary]. Extents are static, or all given at run
/// time with Size = run_time_size.
template <ModelSize Size, class Policy>
struct Gopher {
  using block_type = GopherBlock<Size, Policy>;
  using cache_type = typename block_type::attention_type::cache_type;

  Embedding<Size.vocabulary, Size.width, Policy> embedding;
  Repeat<block_type, Size.layers> blocks;
  RmsNorm<Size.width, Policy> final_norm;
  TiedOutput<Size.vocabulary, Policy> output;

  /// A model without elements yet; linear maps are normal with deviation 0.02, those that write to the
  /// residual stream 0.02/sqrt(2 layers), as GPT-2's. (The paper does not state its initialisation.)
  static Gopher make(const ModelSize& size = Size) {
    validate(size);
    Gopher model{Embedding<Size.vocabulary, Size.width, Policy>::sized(size.vocabulary, size.width),
                 {make_blocks(size), {}},
                 RmsNorm<Size.width, Policy>::sized(size.width),
                 TiedOutput<Size.vocabulary, Policy>::sized(size.vocabulary)};
    return model;
  }

  /// The last block's normalised output: [B, T, width].
  auto hidden(const auto& tokens) const { return final_norm(blocks(embedding(tokens))); }

  auto operator()(const auto& tokens) const { return logits(hidden(tokens)); }

  /// Scores of every token of the vocabulary: [B, T, width] to [B, T, vocabulary].
  auto logits(const auto& h) const { return output.scores(h, embedding); }

  /// Summed negative log-likelihood of the targets, in nats, and their number; targets below 0 do not count.
  /// The logits are never all in memory.
  auto loss(const auto& tokens, const auto& targets) const {
    return output.loss(hidden(tokens), embedding, targets);
  }

  /// One cache to a block, with room for `capacity` tokens.
  std::vector<cache_type> caches(Index capacity) const;

  /// Logits [vocabulary] of the token after the next tokens [1, T] of a sequence, given its caches, which
  /// they join.
  Tensor<typename Policy::compute, Shape<Size.vocabulary>, typename Policy::device> next(
      const Tensor<std::int32_t, Shape<1, dyn>, typename Policy::device>& tokens,
      std::vector<cache_type>& caches) const;

 private:
  static auto make_blocks(const ModelSize& size) {
    if constexpr (Size.layers == dyn) {
      std::vector<block_type> result;
      for (Index i = 0; i < size.layers; ++i) result.push_back(block_type::sized(size));
      return result;
    } else {
      return [&]<std::size_t... I>(std::index_sequence<I...>) {
        return std::array<block_type, sizeof...(I)>{((void)I, block_type::sized(size))...};
      }
      (std::make_index_sequence<static_cast<std::size_t>(Size.layers)>{});
    }
  }
};

// What decodes stands outside of the class: no inline function, it can be compiled once for all sources.
template <ModelSize Size, class Policy>
std::vector<typename Gopher<Size, Policy>::cache_type> Gopher<Size, Policy>::caches(Index capacity) const {
  return blocks.caches(capacity);
}

template <ModelSize Size, class Policy>
Tensor<typename Policy::compute, Shape<Size.vocabulary>, typename Policy::device> Gopher<Size, Policy>::next(
    const Tensor<std::int32_t, Shape<1, dyn>, typename Policy::device>& tokens,
    std::vector<cache_type>& caches) const {
  const auto h = blocks(embedding(tokens), caches);
  const auto last = materialize(slice<1, 1>(h, tokens.shape()[1] - 1));
  const Shape<Size.vocabulary> words{{output.vocabulary()}};
  return materialize(reshape(logits(final_norm(last)), words));
}

/// A model of any size, chosen at run time.
template <class Policy>
using RunTimeGopher = Gopher<run_time_size, Policy>;

template <class Policy = Float32<Cpu>>
using Gopher44M = Gopher<gopher_44m.size, Policy>;
template <class Policy = Float32<Cpu>>
using Gopher117M = Gopher<gopher_117m.size, Policy>;
template <class Policy = Float32<Cpu>>
using Gopher417M = Gopher<gopher_417m.size, Policy>;
template <class Policy = Float32<Cpu>>
using Gopher1B = Gopher<gopher_1_4b.size, Policy>;
template <class Policy = Float32<Cpu>>
using Gopher7B = Gopher<gopher_7_1b.size, Policy>;
template <class Policy = Float32<Cpu>>
using Gopher280B = Gopher<gopher_280b.size, Policy>;

}  // namespace gopher
