#include "gopher_model/generation/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <burrow/core/error.hpp>

namespace gopher {
namespace {

using Token = std::int32_t;

void check(const SamplingOptions& options) {
  if (!(options.temperature > 0) || !std::isfinite(options.temperature)) {
    throw burrow::ValueError("sample_token: the temperature must be a number above 0, not " +
                             std::to_string(options.temperature) + ".");
  }
  if (options.top_k < 0) {
    throw burrow::ValueError("sample_token: top_k must be 0 or above, not " + std::to_string(options.top_k) +
                             ".");
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    throw burrow::ValueError("sample_token: top_p must be above 0 and at most 1, not " +
                             std::to_string(options.top_p) + ".");
  }
}

// The first index of the largest logit.
std::size_t likeliest(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == INFINITY) {
      throw burrow::ValueError("sample_token: logit " + std::to_string(i) + " is " +
                               std::to_string(logits[i]) + ", which gives no probability.");
    }
    if (logits[i] > logits[best]) best = i;
  }
  if (logits.empty() || logits[best] == -INFINITY) {
    throw burrow::ValueError("sample_token: there is no token to draw: none of the " +
                             std::to_string(logits.size()) + " logits is finite.");
  }
  return best;
}

// Uniform in [0, 1) with 53 random bits.
double uniform(burrow::Key key, std::uint64_t position) {
  const auto words = key.words(position);
  const std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

// Tokens ranked from the likeliest, as far as they are asked for: only the front of `order` gets sorted.
class Ranking {
 public:
  explicit Ranking(std::span<const float> logits) : logits_{logits}, order_(logits.size()) {
    std::iota(order_.begin(), order_.end(), Token{0});
  }

  // All tokens, in no order that matters.
  std::span<const Token> all() const { return order_; }

  // The first `count` ranks.
  std::span<const Token> first(std::size_t count) {
    count = std::min(count, order_.size());
    if (count > sorted_) {
      const auto likelier = [this](Token a, Token b) {
        const float x = logits_[static_cast<std::size_t>(a)], y = logits_[static_cast<std::size_t>(b)];
        return x != y ? x > y : a < b;
      };
      const auto begin = order_.begin() + static_cast<std::ptrdiff_t>(sorted_);
      const auto end = order_.begin() + static_cast<std::ptrdiff_t>(count);
      std::nth_element(begin, end, order_.end(), likelier);
      std::sort(begin, end, likelier);
      sorted_ = count;
    }
    return std::span<const Token>(order_).first(count);
  }

 private:
  std::span<const float> logits_;
  std::vector<Token> order_;
  std::size_t sorted_ = 0;
};

double sum_of(std::span<const double> weights, std::span<const Token> tokens) {
  double sum = 0;
  for (const Token token : tokens) sum += weights[static_cast<std::size_t>(token)];
  return sum;
}

// The fewest of the first `most` ranks whose weights sum to at least `enough`.
std::span<const Token> nucleus(Ranking& ranking, std::span<const double> weights, std::size_t most,
                               double enough) {
  double sum = 0;
  std::size_t taken = 0;
  for (std::size_t count = 64; taken < most; count *= 4) {
    const auto tokens = ranking.first(std::min(count, most));
    while (taken < tokens.size()) {
      sum += weights[static_cast<std::size_t>(tokens[taken++])];
      if (sum >= enough) return tokens.first(taken);
    }
  }
  return ranking.first(most);
}

// The token at which the running sum of the weights first exceeds the share `u` of their sum.
Token draw(std::span<const Token> tokens, std::span<const double> weights, double u) {
  const double bound = u * sum_of(weights, tokens);
  double sum = 0;
  Token drawn = tokens.front();
  for (const Token token : tokens) {
    const double weight = weights[static_cast<std::size_t>(token)];
    if (weight > 0) drawn = token;
    sum += weight;
    if (sum > bound) break;
  }
  return drawn;
}

}  // namespace

std::int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, burrow::Key key,
                          std::uint64_t position) {
  const std::size_t best = likeliest(logits);
  if (options.greedy) return static_cast<Token>(best);
  check(options);

  std::vector<double> weights(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    weights[i] = std::exp((double{logits[i]} - double{logits[best]}) / options.temperature);
  }
  Ranking ranking{logits};
  std::span<const Token> tokens = ranking.all();
  if (options.top_k > 0) tokens = ranking.first(static_cast<std::size_t>(options.top_k));
  if (options.top_p < 1) {
    tokens = nucleus(ranking, weights, tokens.size(), options.top_p * sum_of(weights, tokens));
  }
  return draw(tokens, weights, uniform(key, position));
}

}  // namespace gopher
