#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/einsum/einsum.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;

TEST_CASE("gradients of einsum agree with differences", "[einsum]") {
  const auto a = random<double>(1, Shape<2, 3, 4>{});
  const auto b = random<double>(2, Shape<2, 4, 3>{});
  check_gradient([](const auto& x, const auto& y) { return einsum<"bij,bjk->kib">(x, y); }, a, b);
  check_gradient([](const auto& x, const auto& y) { return einsum<"bij,bji->b">(x, y * y); }, a, b);
  check_gradient([](const auto& x, const auto& y) { return einsum<"bij,bkl->il">(x, y); }, a, b);
  const auto m = random<double>(3, Shape<3, 3>{});
  check_gradient([](const auto& x) { return einsum<"ii->i">(x) + einsum<"ij->ji">(x); }, m);
  check_gradient([](const auto& x) { return einsum<"ij,jk,kl->il">(x, x, x); }, m);
}

TEST_CASE("the gradient of merged indices that are copied agrees with differences", "[einsum]") {
  const auto x = random<double>(4, Shape<2, 3, 2, 2>{});
  const auto w = random<double>(5, Shape<3, 2, 2>{});
  check_gradient([](const auto& a, const auto& b) { return einsum<"abcd,bde->ace">(a, b); }, x, w);
}
