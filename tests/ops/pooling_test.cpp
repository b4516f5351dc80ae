#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/pooling/pooling.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

using Any = Shape<dyn, dyn, dyn, dyn>;
constexpr Window<2> wide{.stride = {2, 1}, .dilation = {1, 2}, .before = {1, 1}, .after = {1, 0}};

/// The definition in double, for a window of 3 x 2 under `wide`.
Tensor<double, Any> reference(const Tensor<double, Any>& x, bool largest) {
  const Index height = (x.shape()[1] + 2 - 3) / 2 + 1, width = x.shape()[2] + 1 - 3 + 1;
  auto y = zeros<Any, double>(Any{{x.shape()[0], height, width, x.shape()[3]}});
  for (Index b = 0; b < x.shape()[0]; ++b)
    for (Index i = 0; i < height; ++i)
      for (Index j = 0; j < width; ++j)
        for (Index c = 0; c < x.shape()[3]; ++c) {
          double top = -INFINITY, sum = 0, count = 0;
          for (Index u = 2 * i - 1; u < 2 * i + 2; ++u)
            for (Index v = j - 1; v < j + 2; v += 2)
              if (u >= 0 && u < x.shape()[1] && v >= 0 && v < x.shape()[2]) {
                top = std::max(top, x(b, u, v, c));
                sum += x(b, u, v, c);
                ++count;
              }
          y(b, i, j, c) = largest ? top : sum / count;
        }
  return y;
}

}  // namespace

TEST_CASE("pooling agrees with its definition", "[pooling]") {
  for (const Any& shape : {Any{{2, 7, 5, 3}}, Any{{1, 4, 6, 17}}, Any{{3, 1, 2, 1}}}) {
    CAPTURE(shape.text());
    const auto x = random<double>(1, shape);
    const auto top = max_pool2d<3, 2, wide>(x), average = average_pool2d<3, 2, wide>(x);
    CHECK(top.shape().values() == reference(x, true).shape().values());
    CHECK(distance(top, reference(x, true)) == 0);
    CHECK(distance(average, reference(x, false)) <= 1e-12);
    const Tensor narrow(cast<bf16>(x));
    CHECK(distance(average_pool2d<3, 2, wide>(narrow), reference(Tensor(cast<double>(narrow)), false)) <=
          1e-2);
  }
}

TEST_CASE("windows stand side by side and extents stay static", "[pooling]") {
  const auto x = arange<Shape<1, 4, 6, 1>>();
  const auto top = max_pool2d<2, 3>(x);
  static_assert(std::same_as<shape_of<decltype(top)>, Shape<1, 2, 2, 1>>);
  CHECK(top(0, 0, 0, 0) == 8);
  CHECK(top(0, 1, 1, 0) == 23);
  CHECK(average_pool2d<2, 3>(x)(0, 0, 0, 0) == 4);
}

TEST_CASE("the gradients of pooling agree with differences", "[pooling]") {
  const auto x = random<double>(2, Shape<2, 5, 4, 3>{});
  CHECK(gradient_error([](const auto& a) { return max_pool2d<3, 2, wide>(a * 2.0) + 0.0; }, x) <= 1e-9);
  CHECK(gradient_error([](const auto& a) { return average_pool2d<3, 2, wide>(a); }, x) <= 1e-9);
  Tape tape;
  const auto ties = tape.watch(ones<Shape<1, 2, 2, 1>>());
  tape.backward(sum(max_pool2d<2, 2>(ties)));
  const auto gradient = tape.gradient(ties);
  CHECK(gradient.values()[0] == 1);
  CHECK(gradient.values()[3] == 0);
}

TEST_CASE("a window larger than the image is an error", "[pooling]") {
  const auto x = random<float>(1, Any{{1, 2, 5, 1}});
  CHECK_THROWS_WITH((max_pool2d<3, 3>(x)),
                    Contains("max_pool2d: a window of 3 x 3 is larger than the image of Shape<1, 2, 5, 1>") &&
                        Contains("pooling_test.cpp:"));
}
