#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/log_sum_exp/log_sum_exp.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;

TEMPLATE_TEST_CASE("log_sum_exp agrees with a loop", "[log_sum_exp]", double, bf16) {
  for (const Index width : widths) {
    const auto x = random<TestType>(1, Shape<dyn, dyn>{{4, width}}, 3);
    const auto rows = log_sum_exp<1>(x);
    for (Index i = 0; i < 4; ++i) {
      double sum = 0;
      for (Index j = 0; j < width; ++j) sum += std::exp(static_cast<double>(x(i, j)));
      CHECK(static_cast<double>(rows(i)) ==
            Approx(std::log(sum)).epsilon(tolerance<TestType>()).margin(1e-2));
    }
  }
}

TEST_CASE("log_sum_exp over any axes, of views, shifts with its operand", "[log_sum_exp]") {
  const auto x = random<float>(2, Shape<3, 4, 5>{});
  static_assert(std::same_as<shape_of<decltype(log_sum_exp<0, 2>(x, keep_axes))>, Shape<1, 4, 1>>);
  const auto columns = log_sum_exp<0>(x);
  CHECK(columns(1, 2) ==
        Approx(std::log(std::exp(x(0, 1, 2)) + std::exp(x(1, 1, 2)) + std::exp(x(2, 1, 2)))));
  CHECK(log_sum_exp<1>(transpose<0, 1>(x))(1, 2) == Approx(columns(1, 2)));
  CHECK(log_sum_exp(x + 1000.0f).item() == Approx(1000 + log_sum_exp(x).item()));
  CHECK(log_sum_exp(x - 1000.0f).item() == Approx(log_sum_exp(x).item() - 1000));
}

TEST_CASE("log_sum_exp of infinities and of nothing", "[log_sum_exp]") {
  const Tensor<float, Shape<4, 2>> x{-INFINITY, -INFINITY, -INFINITY, 3, INFINITY, 1, NAN, 1};
  const auto y = log_sum_exp<1>(x);
  CHECK((y(0) == -INFINITY && y(1) == 3 && y(2) == INFINITY && std::isnan(y(3))));
  CHECK(log_sum_exp(Tensor<float, Shape<0>>{}).item() == -INFINITY);
}

TEST_CASE("the gradient of log_sum_exp agrees with differences and is 0 at -infinity", "[log_sum_exp]") {
  const auto x = random<double>(3, Shape<3, 4, 5>{});
  check_gradient([](const auto& a) { return log_sum_exp<0, 2>(a * 2 + 100); }, x);
  check_gradient([](const auto& a) { return a - log_sum_exp<1>(a, keep_axes); }, x);
  Tape tape;
  const auto z = tape.watch(Tensor<float, Shape<2, 2>>{-INFINITY, -INFINITY, -INFINITY, 3});
  tape.backward(sum(log_sum_exp<1>(z)));
  const auto g = tape.gradient(z);
  CHECK((g(0, 0) == 0 && g(0, 1) == 0 && g(1, 0) == 0 && g(1, 1) == 1));
}
