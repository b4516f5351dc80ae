#include "gopher_model/generation/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <burrow/core/error.hpp>

namespace gopher {
namespace {

using Token = std::int32_t;

// The first index of the largest logit.
std::size_t likeliest(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == INFINITY) {
      throw refused_logit(i, logits[i]);
    }
    if (logits[i] > logits[best]) best = i;
  }
  if (logits.empty() || logits[best] == -INFINITY) {
    throw no_token(logits.size());
  }
  return best;
}

struct Candidate {
  float logit;
  Token token;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// Candidates ranked from the likeliest, as far as they are asked for: only the front gets sorted.
class Ranking {
 public:
  explicit Ranking(std::span<const float> logits) : candidates_(logits.size()) {
    for (std::size_t i = 0; i < logits.size(); ++i) candidates_[i] = {logits[i], static_cast<Token>(i)};
  }

  // All candidates, by index until ranks are asked for.
  std::span<const Candidate> all() const { return candidates_; }

  // The first `count` ranks.
  std::span<const Candidate> first(std::size_t count) {
    count = std::min(count, candidates_.size());
    if (count > sorted_) {
      const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted_);
      const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
      std::nth_element(begin, end, candidates_.end(), likelier);
      std::sort(begin, end, likelier);
      sorted_ = count;
    }
    return all().first(count);
  }

 private:
  std::vector<Candidate> candidates_;
  std::size_t sorted_ = 0;
};

// What a token's probability is proportional to, given the largest logit.
struct Weight {
  double largest, temperature;

  double operator()(const Candidate& candidate) const {
    return std::exp((double{candidate.logit} - largest) / temperature);
  }
};

double sum_of(std::span<const Candidate> candidates, const Weight& weight) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += weight(candidate);
  return sum;
}

// The fewest of the first `most` ranks whose weights sum to at least `enough`.
std::span<const Candidate> nucleus(Ranking& ranking, const Weight& weight, std::size_t most, double enough) {
  double sum = 0;
  std::size_t taken = 0;
  for (std::size_t count = 64; taken < most; count *= 4) {
    const auto candidates = ranking.first(std::min(count, most));
    while (taken < candidates.size()) {
      sum += weight(candidates[taken++]);
      if (sum >= enough) return candidates.first(taken);
    }
  }
  return ranking.first(most);
}

// The token at which the running sum of the weights first exceeds the share `u` of their sum.
Token draw(std::span<const Candidate> candidates, const Weight& weight, double u) {
  std::vector<double> sums(candidates.size());
  double sum = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = sum += weight(candidates[i]);
  const auto drawn = std::upper_bound(sums.begin(), sums.end(), u * sum);
  return candidates[static_cast<std::size_t>(drawn - sums.begin())].token;
}

}  // namespace

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

burrow::ValueError refused_logit(std::size_t index, float logit) {
  return burrow::ValueError("sample_token: logit " + std::to_string(index) + " is " + std::to_string(logit) +
                            ", which gives no probability.");
}

burrow::ValueError no_token(std::size_t logits) {
  return burrow::ValueError("sample_token: there is no token to draw: none of the " + std::to_string(logits) +
                            " logits is finite.");
}

double drawn_share(burrow::Key key, std::uint64_t position) {
  const auto words = key.words(position);
  const std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

std::int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, burrow::Key key,
                          std::uint64_t position) {
  const std::size_t best = likeliest(logits);
  if (options.greedy) return static_cast<Token>(best);
  check(options);

  const Weight weight{double{logits[best]}, options.temperature};
  Ranking ranking{logits};
  std::span<const Candidate> candidates = ranking.all();
  if (options.top_k > 0) candidates = ranking.first(static_cast<std::size_t>(options.top_k));
  if (options.top_p < 1) {
    candidates = nucleus(ranking, weight, candidates.size(), options.top_p * sum_of(candidates, weight));
  }
  return draw(candidates, weight, drawn_share(key, position));
}

}  // namespace gopher
