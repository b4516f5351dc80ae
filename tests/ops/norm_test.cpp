#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/norm/norm.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;

TEMPLATE_TEST_CASE("norms of rows agree with loops", "[norm]", double, bf16) {
  for (const Index width : widths) {
    const auto x = random<TestType>(1, Shape<dyn, dyn>{{3, width}});
    const auto length = norm<1>(x);
    const auto largest = max_norm<1>(x), absolute = l1_norm<1>(x);
    for (Index i = 0; i < 3; ++i) {
      double squares = 0, most = 0, total = 0;
      for (Index j = 0; j < width; ++j) {
        const double value = std::abs(static_cast<double>(x(i, j)));
        squares += value * value;
        total += value;
        most = std::max(most, value);
      }
      const auto close = [](TestType value, double expected) {
        return std::abs(static_cast<double>(value) - expected) <= tolerance<TestType>() * (1 + expected);
      };
      CHECK(close(length(i), std::sqrt(squares)));
      CHECK(close(largest(i), most));
      CHECK(close(absolute(i), total));
    }
  }
}

TEST_CASE("norms of nothing and of NaN", "[norm]") {
  CHECK(norm(Tensor<double, Shape<0>>{}).item() == 0);
  CHECK(max_norm(Tensor<double, Shape<0>>{}).item() == 0);
  CHECK(std::isnan(norm(Tensor<double, Shape<2>>{1, NAN}).item()));
  CHECK(std::isnan(max_norm(Tensor<double, Shape<2>>{1, NAN}).item()));
  const auto x = random<double>(2, Shape<3, 4, 5>{});
  static_assert(std::same_as<shape_of<decltype(norm<0, 2>(x, keep_axes))>, Shape<1, 4, 1>>);
  CHECK(norm<0, 2>(x, keep_axes)(0, 1, 0) == Approx(norm(at<1>(x, 1)).item()));
}

TEST_CASE("gradients of norms agree with differences, and are 0 at 0", "[norm]") {
  check_gradient([](const auto& a) { return norm<1>(transpose(a)); }, random<double>(3, Shape<3, 3>{}));
  check_gradient([](const auto& a) { return max_norm<0>(a) * l1_norm<0>(a); },
                 random<double>(4, Shape<3, 3>{}));
  Tape tape;
  const auto x = tape.watch(zeros<Shape<3, 3>, double>());
  tape.backward(sum(norm<1>(transpose(x))));
  CHECK(tape.gradient(x)(1, 1) == 0);
}
