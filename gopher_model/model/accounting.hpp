// Parameters, floating-point operations and bytes of a Gopher model, counted exactly and at compile time.
// In the formulas d = width, A = attention width, f = feed-forward width, H = heads, L = layers,
// V = vocabulary, S = context.
#pragma once

#include "gopher_model/model/configuration.hpp"

namespace gopher {

/// The parameters of a model by part. The totals reproduce Gopher's Table 1 (arXiv 2112.11446) and all 50
/// rows of Chinchilla's Table A9 (arXiv 2203.15556).
struct ParameterCount {
  Index embedding = 0;            ///< V d, shared by input and output
  Index attention = 0;            ///< L 4 d A: query, key, value and output
  Index relative_positions = 0;   ///< L d A: projection of the sinusoidal relative encoding
  Index feed_forward = 0;         ///< L 2 d f
  Index position_biases = 0;      ///< L 2 A: Transformer-XL's u and v
  Index attention_biases = 0;     ///< L d: bias of the output projection
  Index feed_forward_biases = 0;  ///< L (f + d)
  Index norm_gains = 0;           ///< (2 L + 1) d
  Index logit_bias = 0;           ///< V

  /// The matrices: N(core).
  constexpr Index core() const { return embedding + attention + relative_positions + feed_forward; }
  /// The vectors: N(small) = L (f + 4 d + 2 A) + V + d.
  constexpr Index small() const {
    return position_biases + attention_biases + feed_forward_biases + norm_gains + logit_bias;
  }
  /// Every parameter.
  constexpr Index full() const { return core() + small(); }
  /// Every parameter but the embedding.
  constexpr Index without_embedding() const { return full() - embedding; }
};

/// Counts the parameters of a model.
constexpr ParameterCount parameters(const ModelSize& size) {
  const Index d = size.width, a = size.attention_width(), f = size.feed_forward, l = size.layers;
  return {.embedding = size.vocabulary * d,
          .attention = l * 4 * d * a,
          .relative_positions = l * d * a,
          .feed_forward = l * 2 * d * f,
          .position_biases = l * 2 * a,
          .attention_biases = l * d,
          .feed_forward_biases = l * (f + d),
          .norm_gains = (2 * l + 1) * d,
          .logit_bias = size.vocabulary};
}

/// Whether a count includes the embedding look-up (as a product) and the final logits.
enum class EmbeddingTerms { excluded, included };

/// What one training step costs, in forward passes: the backward pass counts as two.
enum class Passes { stored_activations = 3, rematerialized = 4 };

/// FLOPs of the forward pass over one sequence of `context` tokens, two per multiply-add, full S x S
/// attention, as Chinchilla's Appendix F lists them; neither W_r nor the position logits are counted.
constexpr double forward_flops(const ModelSize& size, EmbeddingTerms terms = EmbeddingTerms::excluded) {
  const auto real = [](Index value) { return static_cast<double>(value); };
  const double d = real(size.width), a = real(size.attention_width()), f = real(size.feed_forward);
  const double s = real(size.context), v = real(size.vocabulary);
  const double projections = 2 * 3 * s * d * a + 2 * s * a * d;
  const double scores = 2 * s * s * a + 3 * real(size.heads) * s * s + 2 * s * s * a;
  const double layer = projections + scores + 2 * s * (2 * d * f);
  const double embedding_and_logits = 2 * s * v * d + 2 * s * d * v;
  return real(size.layers) * layer + (terms == EmbeddingTerms::included ? embedding_and_logits : 0);
}

/// FLOPs per token of a training step in the same accounting.
constexpr double flops_per_token(const ModelSize& size, Passes passes,
                                 EmbeddingTerms terms = EmbeddingTerms::excluded) {
  return static_cast<double>(passes) * forward_flops(size, terms) / static_cast<double>(size.context);
}

/// FLOPs of training on `tokens` tokens in the same accounting. With rematerialisation and without the
/// embedding terms this is the 6.31e23 FLOPs that the paper reports for 280B and 300e9 tokens.
constexpr double training_flops(const ModelSize& size, double tokens, Passes passes,
                                EmbeddingTerms terms = EmbeddingTerms::excluded) {
  return tokens * flops_per_token(size, passes, terms);
}

/// Training FLOPs over the rule of thumb 6 N D, as in Chinchilla's Table A4 (N is every parameter).
constexpr double ratio_to_6nd(const ModelSize& size) {
  return flops_per_token(size, Passes::stored_activations) /
         (6 * static_cast<double>(parameters(size).full()));
}

/// The FLOPs per trained token that utilisation is measured with: matrix products with the parameters, causal
/// attention of average length S / 2 with its three products (content, positions, values), forward and
/// backward. Recomputation, W_r and elementwise work do not count.
constexpr double model_flops_per_token(const ModelSize& size) {
  const ParameterCount count = parameters(size);
  const double products = 6 * static_cast<double>(count.attention + count.feed_forward + count.embedding);
  const double average_length = static_cast<double>(size.context) / 2;
  const double attention = 3 * 3 * 2 * average_length * static_cast<double>(size.attention_width()) *
                           static_cast<double>(size.layers);
  return products + attention;
}

/// Bytes that live from step to step when training with Adam, by purpose.
struct StateBytes {
  Index parameters = 0;  ///< the parameters that the model computes with
  Index master = 0;      ///< a float32 copy of bf16 parameters
  Index moments = 0;     ///< Adam's two, always float32
  Index gradients = 0;   ///< accumulated in float32

  /// What a checkpoint holds: everything but the gradients.
  constexpr Index total() const { return parameters + master + moments; }
};

/// Bytes of parameters and of Adam's state. bf16 parameters without a copy take 10 bytes each, which makes
/// the paper's 2.5 TiB for 280B; float32 parameters take 12, bf16 with a float32 copy 14.
constexpr StateBytes state_bytes(const ModelSize& size, Precision precision) {
  const Index count = parameters(size).full();
  const bool half = precision == Precision::bf16_stochastic || precision == Precision::bf16_master;
  return {.parameters = count * (half ? 2 : 4),
          .master = precision == Precision::bf16_master ? count * 4 : 0,
          .moments = count * 8,
          .gradients = count * 4};
}

/// Bytes of one activation.
constexpr Index activation_element_bytes(Precision precision) {
  return precision == Precision::float32 ? 4 : 2;
}

/// Bytes of the keys and values that generation keeps for one sequence of `length` tokens.
constexpr Index cache_bytes(const ModelSize& size, Index length, Precision precision) {
  return 2 * size.layers * size.attention_width() * length * activation_element_bytes(precision);
}

/// Bytes that decoding one token of one sequence must read after `length` others: every parameter but the
/// projection of positions, whose products are cached, and in each layer keys, values and projected
/// positions.
constexpr double decode_bytes(const ModelSize& size, Index length, Index element_bytes) {
  const ParameterCount count = parameters(size);
  const Index cached = 3 * size.layers * size.attention_width() * length;
  return static_cast<double>((count.full() - count.relative_positions + cached) * element_bytes);
}

}  // namespace gopher
