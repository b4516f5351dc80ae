#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/statistics/statistics.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;

namespace {

/// The variance of row i of a matrix by a plain loop in double.
template <class V>
double row_variance(const V& x, Index i, Index correction) {
  const Index n = x.shape()[1];
  double mean = 0, sum = 0;
  for (Index j = 0; j < n; ++j) mean += static_cast<double>(x(i, j)) / static_cast<double>(n);
  for (Index j = 0; j < n; ++j) sum += std::pow(static_cast<double>(x(i, j)) - mean, 2);
  return sum / static_cast<double>(n - correction);
}

template <class T>
void check_rows(const Tensor<T, Shape<dyn, dyn>>& x) {
  CAPTURE(x.shape().text());
  const auto v = variance<-1>(x, Correction{1});
  const auto deviation = standard_deviation<1>(x, keep_axes);
  for (Index i = 0; i < x.shape()[0]; ++i) {
    const auto close = [](T value, double reference) {
      return std::abs(static_cast<double>(value) - reference) <= 2 * tolerance<T>() * (1 + reference);
    };
    CHECK(close(deviation(i, 0), std::sqrt(row_variance(x, i, 0))));
    if (x.shape()[1] > 1) CHECK(close(v(i), row_variance(x, i, 1)));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("variance and deviation of rows agree with loops", "[statistics]", double, bf16) {
  for (const Index width : widths)
    check_rows(Tensor<TestType, Shape<dyn, dyn>>(random<TestType>(1, Shape<dyn, dyn>{{3, width}}) * 2));
}

TEST_CASE("variance over other axes, of views and of expressions", "[statistics]") {
  const auto x = random<double>(2, Shape<4, 3, 5>{});
  const Tensor<double, Shape<dyn, dyn>> rows = reshape<Shape<1, 60>>(x);
  static_assert(std::same_as<shape_of<decltype(variance<0, 2>(x, keep_axes))>, Shape<1, 3, 1>>);
  CHECK(variance(x).item() == Approx(row_variance(rows, 0, 0)));
  CHECK(variance(x, Correction{1}).item() == Approx(row_variance(rows, 0, 1)));
  const Tensor<double, Shape<dyn, dyn>> columns = transpose(reshape<Shape<4, 15>>(x));
  CHECK(variance<0>(transpose<1, 2>(x))(4, 1) == Approx(row_variance(columns, 9, 0)));
  CHECK(variance<0>(x * 2 + 7)(1, 4) == Approx(4 * row_variance(columns, 9, 0)));
}

TEST_CASE("variance keeps its digits far from zero and over many elements", "[statistics]") {
  Tensor<float, Shape<1000, 3>> x;
  for (Index i = 0; i < 1000; ++i)
    for (Index j = 0; j < 3; ++j) x(i, j) = static_cast<float>(10000 + i % 2);
  CHECK(variance<0>(x)(2) == Approx(0.25).epsilon(1e-5));
  CHECK(variance(x).item() == Approx(0.25).epsilon(1e-5));
  CHECK(static_cast<float>(variance(Tensor(cast<bf16>(x - 10000.0f))).item()) == 0.25f);
}

TEST_CASE("variance where too few elements are left is not a number", "[statistics]") {
  const Tensor<float, Shape<1>> one{3};
  CHECK(variance(one).item() == 0);
  CHECK(std::isnan(variance(one, Correction{1}).item()));
  CHECK(std::isnan(variance(Tensor<float, Shape<0>>{}).item()));
  CHECK(std::isinf(variance(Tensor<float, Shape<2>>{1, 2}, Correction{2}).item()));
  CHECK(std::isnan(standard_deviation(Tensor<float, Shape<2>>{1, NAN}).item()));
}

TEST_CASE("gradients of variance and deviation agree with differences", "[statistics]") {
  const auto x = random<double>(3, Shape<3, 4, 5>{});
  check_gradient([](const auto& a) { return variance<0, 2>(a * a, Correction{1}); }, x);
  check_gradient([](const auto& a) { return standard_deviation<1>(a, keep_axes); }, x);
}

TEST_CASE("where the deviation is zero, so is its gradient", "[statistics]") {
  Tape tape;
  const auto x = tape.watch(Tensor<double, Shape<1, 4, 2>>{4, 1, 4, 1, 4, 1, 4, 3});
  tape.backward(sum(standard_deviation<1>(x, keep_axes)));
  const auto g = tape.gradient(x);
  CHECK(g(0, 1, 0) == 0);
  CHECK(g(0, 3, 1) == Approx(std::sqrt(3.0) / 4));
}
