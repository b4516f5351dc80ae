#include <catch2/catch.hpp>

#include "tests/autodiff/second_order.hpp"

using namespace burrow;

TEST_CASE("Second derivatives of elementwise functions agree with differences") {
  const auto x = normal<Shape<3, 4>, double>(Key{3});
  const auto curved = [](const auto& a) { return sum(gelu(a) * silu(a) + sigmoid(a) - erf(a)); };
  const auto positive = [](const auto& a) {
    const auto p = materialize(exp(a) + 0.5);
    return sum(sqrt(p) + log(p) + log1p(p) / p + expm1(a) + pow(p, a));
  };
  const auto periodic = [](const auto& a) { return sum(tanh(a) * sin(a) + cos(a) * square(a)); };
  const auto kinked = [](const auto& a) {
    return sum(square(maximum(a, softplus(a)) - minimum(abs(a), 0.7)));
  };
  CHECK(second_order_error(curved, x) < 1e-8);
  CHECK(second_order_error(positive, x) < 1e-8);
  CHECK(second_order_error(periodic, x) < 1e-8);
  CHECK(second_order_error(kinked, x) < 1e-8);
}

TEST_CASE("Second derivatives of elementwise lambdas, broadcasts and reductions agree with differences") {
  const Tensor<double, Shape<dyn, 4>> x = normal<Shape<3, 4>, double>(Key{4});
  const auto f = [](const auto& a) {
    const auto mish = elementwise([](auto v) { return v * tanh(log1p(exp(v))); });
    const auto scaled = mish(a) * mean<0>(square(a)) + sum<1>(a, keep_axes) * a;
    return sum(materialize(scaled) * max<0>(a)) + sum(square(slice<1, 2>(a, 1)));
  };
  CHECK(second_order_error(f, x) < 1e-8);
}
