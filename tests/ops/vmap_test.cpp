#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/transform.hpp>
#include <burrow/ops/matmul/matmul.hpp>
#include <burrow/ops/vmap/vmap.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;

TEST_CASE("vmap is a loop over examples, whose results are stacked") {
  const auto x = random<double>(1, Shape<5, 2, 3>{});
  const auto w = random<double>(2, Shape<3, 4>{});
  const auto mapped = vmap([&](const auto& a) { return matmul(a, w); })(x);
  static_assert(std::same_as<decltype(mapped), const Tensor<double, Shape<5, 2, 4>>>);
  CHECK(same_bits(mapped, matmul(x, w)));
  const auto scales = random<double>(3, Shape<dyn>{{5}});
  const auto sums = vmap([](const auto& a, const auto& s) { return sum(a) * s; })(x, scales);
  static_assert(std::same_as<shape_of<decltype(sums)>, Shape<5>>);
  CHECK(sums(3) == sum(at(x, 3)).item() * scales(3));
  CHECK_THROWS_AS(vmap([](const auto& a) { return sum(a); })(zeros<Shape<dyn>>(Shape<dyn>{{0}})), ShapeError);
}

TEST_CASE("Gradients flow through vmap to what is mapped and to what is captured") {
  check_gradient(
      [](const auto& x, const auto& w) {
        return vmap([&](const auto& a) { return sin(matmul(a, w)) * sum(a); })(exp(x));
      },
      random<double>(4, Shape<3, 2, 3>{}), random<double>(5, Shape<3, 2>{}));
}

TEST_CASE("vmap of grad gives the gradient of each example") {
  const auto x = random<double>(6, Shape<4, 3>{});
  const auto f = [](const auto& a) { return sum(a * a * a); };
  CHECK(same_bits(Tensor(vmap(grad(f))(x)), grad(f)(x)));
}
