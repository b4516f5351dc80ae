#include <burrow/autodiff/operation_check.hpp>
#include <burrow/ops/cross_entropy/cross_entropy.hpp>
#include <burrow/ops/losses/losses.hpp>
#include <catch2/catch.hpp>

#include "tests/autodiff/second_order.hpp"
#include "tests/ops/compare.hpp"

using namespace ops_test;

TEST_CASE("huber is a square within delta and a line beyond, with one slope where they meet") {
  const Tensor<double, Shape<4>> e{-3, -0.5, 0.5, 2};
  const auto y = Tensor(huber(e, 1));
  CHECK((y(0) == 2.5 && y(1) == 0.125 && y(3) == 1.5));
  check_gradient([](const auto& x) { return huber(x, 1) + huber(x * 2, 0.7); }, e);
  CHECK(Tensor(huber(Tensor<bf16, Shape<1>>{2}, 1))(0) == bf16(1.5f));
}

TEST_CASE("binary_cross_entropy is the negative log-likelihood, without overflow") {
  const Tensor<double, Shape<3>> x{-2, 0.5, 3}, t{0, 1, 0.25};
  for (Index i = 0; i < 3; ++i) {
    const double p = 1 / (1 + std::exp(-x(i)));
    CHECK(Tensor(binary_cross_entropy(x, t))(i) ==
          Approx(-t(i) * std::log(p) - (1 - t(i)) * std::log(1 - p)));
  }
  CHECK(Tensor(binary_cross_entropy(Tensor<float, Shape<1>>{-1000}, 1))(0) == 1000);
  CHECK_NOTHROW(check_operation([](const auto& a, const auto& b) { return binary_cross_entropy(a, b); },
                                random<double>(1, Shape<4, 5>{}), uniform<Shape<4, 5>, double>(Key{2})));
}

TEST_CASE("soft_cross_entropy of one-hot rows is cross_entropy, and smoothed labels sum to one") {
  const auto x = random<double>(3, Shape<4, 5>{});
  const Tensor<std::int32_t, Shape<4>> ids{0, 4, 2, 2};
  CHECK(sum(soft_cross_entropy(x, one_hot<5, double>(ids))).item() ==
        Approx(cross_entropy(x, ids).sum.item()));
  const auto smoothed = smoothed_labels<5, double>(ids, 0.1);
  CHECK(smoothed(0, 0) == Approx(0.92));
  CHECK(smoothed(0, 1) == Approx(0.02));
  const auto loss = [&](const auto& a) {
    return mean(soft_cross_entropy(a, cast<element_of<decltype(a)>>(smoothed)));
  };
  check_gradient(loss, x);
  CHECK(second_order_error(loss, x) < 1e-8);
  check_gradient([](const auto& a, const auto& t) { return soft_cross_entropy(a, softmax(t)); }, x,
                 random<double>(4, Shape<4, 5>{}));
}
