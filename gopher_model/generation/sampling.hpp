// Drawing the next token from a language model's logits.
#pragma once

#include <cstdint>
#include <span>

#include <burrow/core/key.hpp>
#include <burrow/core/shape.hpp>

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

}  // namespace gopher
