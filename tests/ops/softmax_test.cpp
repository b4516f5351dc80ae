#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/softmax/softmax.hpp>
#include <catch2/catch.hpp>
#include <limits>

#include "tests/ops/compare.hpp"

using namespace ops_test;

namespace {

/// log(softmax(x)) by its definition, in long double.
template <class T, class S>
Tensor<double, S> reference_log_softmax(const Tensor<T, S>& x) {
  Tensor<double, S> y{x.shape()};
  const Index width = row_width(x.shape());
  for (Index r = 0; r < row_count(x.shape()); ++r) {
    long double largest = -std::numeric_limits<long double>::infinity(), total = 0;
    for (Index i = 0; i < width; ++i)
      largest = std::max(largest, static_cast<long double>(x.data()[r * width + i]));
    for (Index i = 0; i < width; ++i)
      total += std::exp(static_cast<long double>(x.data()[r * width + i]) - largest);
    for (Index i = 0; i < width; ++i)
      y.data()[r * width + i] =
          static_cast<double>(static_cast<long double>(x.data()[r * width + i]) - largest - std::log(total));
  }
  return y;
}

template <class T, class S>
void agrees(const S& shape, double scale) {
  CAPTURE(shape.text(), dtype_name<T>(), scale);
  const auto x = random<T>(1, shape, scale);
  const auto expected = reference_log_softmax(x);
  CHECK(distance(log_softmax(x), expected) <= tolerance<T>());
  CHECK(distance(softmax(x), Tensor(exp(expected))) <= tolerance<T>());
}

}  // namespace

TEMPLATE_TEST_CASE("softmax and log_softmax agree with their definition", "[softmax]", double, float, bf16) {
  agrees<TestType>(Shape<1>{}, 1);
  agrees<TestType>(Shape<33>{}, 3);
  agrees<TestType>(Shape<2, 3, 13>{}, 3);
  for (const Index width : widths)
    for (const double scale : {1.0, 20.0}) agrees<TestType>(Shape<dyn, dyn>{{4, width}}, scale);
  agrees<TestType>(Shape<dyn, 2, dyn>{{3, 2, 17}}, 1);
}

TEST_CASE("softmax of huge logits neither overflows nor depends on a common offset", "[softmax]") {
  const Tensor<float, Shape<2, 4>> x{1e4, 1e4 - 1, 9e3, -1e4, -3e38, -3e38, -3e38, -3e38};
  CHECK(distance(softmax(x), Tensor(exp(reference_log_softmax(x)))) <= 1e-6);
  CHECK(distance(log_softmax(x), reference_log_softmax(x)) <= 1e-6);

  const auto y = random<double>(3, Shape<3, 21>{});
  CHECK(distance(softmax(Tensor(y + 1e4)), softmax(y)) <= 1e-11);
}

TEST_CASE("an impossible entry gets probability 0, a row of them NaN", "[softmax]") {
  const float none = -std::numeric_limits<float>::infinity();
  const Tensor<float, Shape<2, 3>> x{0, none, 0, none, none, none};
  const auto y = softmax(x);
  CHECK(y(0, 0) == 0.5f);
  CHECK(y(0, 1) == 0.0f);
  CHECK(std::isnan(y(1, 0)));
}

TEST_CASE("gradients of softmax and log_softmax agree with differences", "[softmax]") {
  const auto soft = [](const auto& x) { return softmax(x); };
  const auto log_soft = [](const auto& x) { return log_softmax(x); };
  for (const Index width : widths) {
    if (width > 40) continue;
    const auto x = random<double>(5, Shape<dyn, dyn>{{3, width}}, 2);
    CHECK(gradient_error(soft, x) <= 1e-8);
    CHECK(gradient_error(log_soft, x) <= 1e-8);
  }
  CHECK(gradient_error(soft, random<double>(6, Shape<2, 1, 5>{})) <= 1e-8);
  CHECK(gradient_error(log_soft, random<double>(7, Shape<9>{})) <= 1e-8);
}

TEST_CASE("gradients add up where a value is used more than once, in any view", "[softmax]") {
  const auto x = random<double>(8, Shape<4, 5>{});
  CHECK(gradient_error([](const auto& v) { return softmax(v) * v + log_softmax(2.0 * v); }, x) <= 1e-8);
  CHECK(gradient_error([](const auto& v) { return softmax(transpose(v)) + transpose(v); }, x) <= 1e-8);
  CHECK(gradient_error([](const auto& v) { return softmax(at<0>(v, 1)) + softmax(at<0>(v, 3)); }, x) <= 1e-8);
}

TEST_CASE("gradients of bf16 rows are those of double, rounded", "[softmax]") {
  const auto narrow = random<bf16>(9, Shape<5, 33>{});
  const auto wide = Tensor(cast<double>(narrow));
  const auto seed = random<bf16>(10, Shape<5, 33>{});
  const auto gradient = [](const auto& x, const auto& dy, const auto& f) {
    Tape tape;
    const auto watched = tape.watch(x);
    tape.backward(f(watched), dy);
    return tape.gradient(watched);
  };
  const auto soft = [](const auto& x) { return softmax(x); };
  const auto log_soft = [](const auto& x) { return log_softmax(x); };
  const Tensor wide_seed(cast<double>(seed));
  CHECK(distance(gradient(narrow, seed, soft), gradient(wide, wide_seed, soft)) <= 1e-2);
  CHECK(distance(gradient(narrow, seed, log_soft), gradient(wide, wide_seed, log_soft)) <= 1e-2);
}

TEST_CASE("softmax does not depend on the number of threads", "[softmax]") {
  const auto x = random<float>(11, Shape<dyn, dyn>{{301, 257}});
  const auto run = [&] {
    Tape tape;
    const auto watched = tape.watch(x);
    const auto y = softmax(watched) * log_softmax(watched);
    tape.backward(sum(y * y));
    return tape.gradient(watched);
  };
  CHECK(thread_independent(run, [](const auto& a, const auto& b) { return same_bits(a, b); }));
}

TEST_CASE("softmax of an untraced value is a tensor, empty rows stay empty", "[softmax]") {
  STATIC_REQUIRE(std::same_as<decltype(softmax(Tensor<bf16, Shape<2, 3>>{})), Tensor<bf16, Shape<2, 3>>>);
  CHECK(softmax(Tensor<float, Shape<0, 3>>{}).size() == 0);
  CHECK(log_softmax(Tensor<float, Shape<3, 0>>{}).size() == 0);
}
