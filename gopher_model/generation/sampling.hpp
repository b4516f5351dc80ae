// Drawing the next token from a language model's logits.
#pragma once

#include <cstdint>
#include <span>

#include <burrow/core/key.hpp>
#include <burrow/tensor/tensor.hpp>

namespace gopher {

using burrow::Index;

/// How a token is drawn. The rules apply in this order: temperature, top_k, top_p.
struct SamplingOptions {
  double temperature = 1;  ///< the logits are divided by it; above 0
  Index top_k = 0;         ///< draw among the k likeliest tokens; 0: among all
  double top_p = 1;     ///< draw among the fewest likeliest tokens that reach this share, in (0, 1], of the
                        ///< probability that top_k left; at least one
  bool greedy = false;  ///< the likeliest token, the first of equals; the rest has no meaning then
};

/// The token drawn from softmax(logits / temperature), cut to top_k and top_p and normalised again. Equally
/// likely tokens rank by index. The same logits, options, key and position give the same token; softmax and
/// sums are in double. Logits may be -inf, for tokens never to be drawn. Throws ValueError for a logit that
/// is NaN or +inf, for logits that are all -inf or none, and for options out of range.
std::int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, burrow::Key key,
                          std::uint64_t position);
template <class S>
std::int32_t sample_token(const burrow::Tensor<float, S>& logits, const SamplingOptions& options,
                          burrow::Key key, std::uint64_t position) {
  return sample_token(logits.values(), options, key, position);
}

/// Throws ValueError for options out of range.
void check(const SamplingOptions& options);
/// The error for a logit that is NaN or +inf.
burrow::ValueError refused_logit(std::size_t index, float logit);
/// The error for logits of which none is finite.
burrow::ValueError no_token(std::size_t logits);
/// The number in [0, 1), of 53 random bits, that draws the token at a position.
double drawn_share(burrow::Key key, std::uint64_t position);

}  // namespace gopher
