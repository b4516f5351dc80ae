// Operations that are made of others work on the device because those do.
#include <catch2/catch.hpp>

#include <burrow/ops/einsum/einsum.hpp>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/norm/norm.hpp>
#include <burrow/ops/statistics/statistics.hpp>

#include "gradients.hpp"

namespace {

using namespace burrow;

TEST_CASE("contractions, statistics and norms", "[cuda]") {
  CHECK(all_distance([](const auto& a, const auto& b) { return einsum<"bij,bkj->bik">(a, b); },
                     random<2, 4, 6>(1), random<2, 3, 6>(2)) < 1e-5);
  const auto x = random<5, 24>(3);
  CHECK(all_distance([](const auto& a) { return variance<1>(a); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return norm<1>(a); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return max_norm<0>(a); }, x) < 1e-5);
}

}  // namespace
