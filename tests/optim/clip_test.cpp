#include <burrow/core/key.hpp>
#include <burrow/optim/clip.hpp>
#include <catch2/catch.hpp>
#include <vector>

#include "tests/threads.hpp"

namespace {

using burrow::clip_factor;
using burrow::global_norm;
using burrow::Index;

template <class G>
std::vector<G> random_values(std::size_t size) {
  std::vector<G> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<G>(burrow::Key{4}.normal(i));
  return values;
}

template <class G>
double norm_of(const std::vector<G>& values) {
  return global_norm(std::span<const G>{values});
}

}  // namespace

TEMPLATE_TEST_CASE("the global norm is the norm, whatever the size", "[clip]", float, double, burrow::bf16) {
  for (const std::size_t size : {0u, 1u, 7u, 255u, 256u, 257u, 1000u, 70'001u}) {
    const auto values = random_values<TestType>(size);
    long double sum = 0;
    for (const auto value : values) sum += static_cast<long double>(value) * static_cast<long double>(value);
    REQUIRE(norm_of(values) == Approx(static_cast<double>(std::sqrt(sum))).epsilon(1e-14));
  }
}

TEST_CASE("the global norm has the same bits for every number of threads", "[clip]") {
  const auto values = random_values<float>(300'007);
  const Threads scope{1};
  const double expected = norm_of(values);
  for (const int threads : {2, 3, 7}) {
    burrow::set_threads(threads);
    REQUIRE(norm_of(values) == expected);
  }
}

TEST_CASE("large gradients do not overflow", "[clip]") {
  REQUIRE(norm_of(std::vector<float>{3e30f, 4e30f}) == Approx(5e30).epsilon(1e-6));
}

TEST_CASE("clipping scales to the largest norm and never up", "[clip]") {
  REQUIRE(clip_factor(0.5, 1) == 1);
  REQUIRE(clip_factor(1, 1) == 1);
  REQUIRE(clip_factor(0, 1) == 1);
  REQUIRE(clip_factor(4, 1) == 0.25);
  REQUIRE(clip_factor(4, 0.25) == 0.0625);
  REQUIRE(std::isnan(clip_factor(std::numeric_limits<double>::infinity(), 1)));
  REQUIRE(std::isnan(clip_factor(std::numeric_limits<double>::quiet_NaN(), 1)));
  REQUIRE_THROWS_AS(clip_factor(1, 0), burrow::ValueError);
  REQUIRE_THROWS_AS(clip_factor(1, std::numeric_limits<double>::quiet_NaN()), burrow::ValueError);
}
