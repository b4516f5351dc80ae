// Tokens are drawn from the distribution that the options define, and from no other.
#include "gopher_model/generation/sampling.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include <burrow/core/error.hpp>

namespace gopher::sampling_test {
namespace {

using burrow::Key;

constexpr float infinity = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(Key key, std::size_t size, float spread) {
  std::vector<float> logits(size);
  for (std::size_t i = 0; i < size; ++i) logits[i] = spread * key.normal(i);
  return logits;
}

// The probability of each token, straight from the definition of the options.
std::vector<long double> probabilities(const std::vector<float>& logits, const SamplingOptions& options) {
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  if (options.top_k > 0) order.resize(std::min(order.size(), static_cast<std::size_t>(options.top_k)));
  std::vector<long double> p(logits.size());
  const auto normalise = [&] {
    long double sum = 0;
    for (const std::size_t i : order) sum += p[i];
    for (const std::size_t i : order) p[i] /= sum;
  };
  for (const std::size_t i : order) {
    p[i] = std::exp((static_cast<long double>(logits[i]) - static_cast<long double>(logits[order[0]])) /
                    static_cast<long double>(options.temperature));
  }
  normalise();
  long double reached = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const bool enough = options.top_p < 1 && reached >= static_cast<long double>(options.top_p);
    reached += p[order[rank]];
    if (enough) p[order[rank]] = 0;
  }
  normalise();
  return p;
}

std::vector<int> counts_of(const std::vector<float>& logits, const SamplingOptions& options, Key key,
                           int draws) {
  std::vector<int> counts(logits.size());
  for (int i = 0; i < draws; ++i) {
    ++counts.at(static_cast<std::size_t>(sample_token(logits, options, key, static_cast<std::uint64_t>(i))));
  }
  return counts;
}

std::set<std::size_t> drawn(const std::vector<int>& counts) {
  std::set<std::size_t> tokens;
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] > 0) tokens.insert(i);
  return tokens;
}

std::set<std::size_t> possible(const std::vector<long double>& probabilities) {
  std::set<std::size_t> tokens;
  for (std::size_t i = 0; i < probabilities.size(); ++i)
    if (probabilities[i] > 0) tokens.insert(i);
  return tokens;
}

}  // namespace

TEST_CASE("tokens follow the distribution of the options") {
  const std::vector<SamplingOptions> cases{{},
                                           {.temperature = 0.5},
                                           {.temperature = 3},
                                           {.top_k = 4},
                                           {.top_k = 1},
                                           {.top_p = 0.8},
                                           {.temperature = 1.5, .top_k = 6, .top_p = 0.7}};
  constexpr int draws = 20'000;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const auto logits = random_logits(Key{seed}, 8, 1.0f);
    for (const SamplingOptions& options : cases) {
      const auto p = probabilities(logits, options);
      const auto counts = counts_of(logits, options, Key{seed}.fold_in(1), draws);
      long double chi_square = 0;
      for (std::size_t i = 0; i < p.size(); ++i) {
        if (p[i] == 0) {
          REQUIRE(counts[i] == 0);
          continue;
        }
        const long double expected = draws * p[i];
        chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
      }
      CHECK(chi_square < 35);  // 7 degrees of freedom at most: exceeded once in 90,000 by chance
    }
  }
}

TEST_CASE("top_k and top_p leave exactly the tokens that they define") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Key key{seed};
    const std::size_t size = 1 + key.bits(0) % 12;
    auto logits = random_logits(key.fold_in(1), size, 0.7f);
    if (seed % 3 == 0) {
      for (float& logit : logits) logit = std::round(logit);  // ties
    }
    SamplingOptions options;
    options.temperature = 0.5 + static_cast<double>(key.uniform(1));
    options.top_k = static_cast<Index>(key.bits(2) % (size + 3));
    if (seed % 2 == 0) options.top_p = 0.02 + 0.98 * static_cast<double>(key.uniform(3));
    INFO("seed " << seed);
    REQUIRE(drawn(counts_of(logits, options, key.fold_in(2), 1500)) ==
            possible(probabilities(logits, options)));
  }
}

TEST_CASE("a nucleus of hundreds among a thousand words is found as well") {
  for (const double top_p : {0.3, 0.9}) {
    for (const Index top_k : {0, 500}) {
      auto logits = random_logits(Key{5}, 1000, 0.3f);
      for (std::size_t i = 0; i < logits.size(); i += 3) logits[i] = -8;
      const SamplingOptions options{.top_k = top_k, .top_p = top_p};
      const auto expected = possible(probabilities(logits, options));
      REQUIRE(expected.size() > 64);
      CHECK(drawn(counts_of(logits, options, Key{6}, 20 * static_cast<int>(expected.size()))) == expected);
    }
  }
}

TEST_CASE("equals rank by index") {
  const std::vector<float> equal(8, 0.5f);
  CHECK(drawn(counts_of(equal, {.top_k = 3}, Key{1}, 200)) == std::set<std::size_t>{0, 1, 2});
  CHECK(drawn(counts_of(equal, {.top_p = 0.25}, Key{1}, 200)) == std::set<std::size_t>{0, 1});
  CHECK(drawn(counts_of(equal, {.top_p = 0.26}, Key{1}, 200)) == std::set<std::size_t>{0, 1, 2});
  CHECK(drawn(counts_of(equal, {.top_p = 1e-9}, Key{1}, 200)) == std::set<std::size_t>{0});
  CHECK(drawn(counts_of(equal, {.top_k = 100}, Key{1}, 400)).size() == 8);
}

TEST_CASE("greedy takes the first of the likeliest") {
  const SamplingOptions greedy{.greedy = true};
  for (std::uint64_t position = 0; position < 20; ++position) {
    CHECK(sample_token(std::array{1.0f, 3.0f, -infinity, 3.0f, 2.0f}, greedy, Key{1}, position) == 1);
  }
  CHECK(sample_token(std::array{-infinity, -5.0f}, greedy, Key{1}, 0) == 1);
}

TEST_CASE("the same key and position draw the same token, others are independent") {
  const auto logits = random_logits(Key{2}, 50, 1.0f);
  const auto text = [&](Key key, std::uint64_t start) {
    std::vector<std::int32_t> tokens;
    for (std::uint64_t i = 0; i < 200; ++i) tokens.push_back(sample_token(logits, {}, key, start + i));
    return tokens;
  };
  CHECK(text(Key{3}, 0) == text(Key{3}, 0));
  CHECK(text(Key{3}, 0) != text(Key{4}, 0));
  CHECK(text(Key{3}, 0) != text(Key{3}, 1'000));
  const auto from_zero = text(Key{3}, 0), from_one = text(Key{3}, 1);
  CHECK(std::equal(from_zero.begin() + 1, from_zero.end(), from_one.begin()));
}

TEST_CASE("drawn tokens are golden: a saved seed gives the same text in every version") {
  std::vector<float> logits(16);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i) / 8;
  std::vector<std::int32_t> plain, cut;
  for (std::uint64_t i = 0; i < 8; ++i) {
    plain.push_back(sample_token(logits, {}, Key{42}, i));
    cut.push_back(sample_token(logits, {.temperature = 0.7, .top_k = 10, .top_p = 0.9}, Key{42}, i));
  }
  CHECK(plain == std::vector<std::int32_t>{12, 15, 14, 13, 9, 8, 7, 9});
  CHECK(cut == std::vector<std::int32_t>{12, 8, 10, 11, 14, 14, 14, 14});
}

TEST_CASE("tokens without probability are never drawn") {
  std::vector<float> logits(40, -infinity);
  logits[7] = -3e38f;
  logits[31] = -3e38f;
  CHECK(drawn(counts_of(logits, {}, Key{1}, 200)) == std::set<std::size_t>{7, 31});
  CHECK(drawn(counts_of(logits, {.top_k = 5}, Key{1}, 200)) == std::set<std::size_t>{7, 31});
  CHECK(drawn(counts_of(logits, {.top_p = 0.999}, Key{1}, 200)) == std::set<std::size_t>{7, 31});
}

TEST_CASE("extreme logits and temperatures keep their meaning") {
  const std::array large{3e38f, -3e38f, 3e38f};
  for (std::uint64_t i = 0; i < 50; ++i) CHECK(sample_token(large, {}, Key{1}, i) != 1);
  const std::vector<float> near{0, 1e-3f};
  CHECK(drawn(counts_of(near, {.temperature = 1e-6}, Key{1}, 100)) == std::set<std::size_t>{1});
  CHECK(drawn(counts_of({0, 20}, {.temperature = 1e6}, Key{1}, 100)).size() == 2);
  CHECK(drawn(counts_of({0, 20}, {.temperature = 1e-300}, Key{1}, 100)) == std::set<std::size_t>{1});
}

TEST_CASE("logits and options without a meaning are refused") {
  const auto refused = [](const std::vector<float>& logits, const SamplingOptions& options) {
    try {
      sample_token(logits, options, Key{1}, 0);
    } catch (const burrow::ValueError&) {
      return true;
    }
    return false;
  };
  for (const bool greedy : {false, true}) {
    const SamplingOptions options{.greedy = greedy};
    CHECK(refused({}, options));
    CHECK(refused({0, std::nanf(""), 1}, options));
    CHECK(refused({std::nanf("")}, options));
    CHECK(refused({0, infinity}, options));
    CHECK(refused({-infinity, -infinity}, options));
  }
  for (const double temperature : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    CHECK(refused({0, 1}, {.temperature = temperature}));
  }
  for (const double top_p : {0.0, -0.5, 1.5, std::nan("")}) CHECK(refused({0, 1}, {.top_p = top_p}));
  CHECK(refused({0, 1}, {.top_k = -1}));
}

}  // namespace gopher::sampling_test
