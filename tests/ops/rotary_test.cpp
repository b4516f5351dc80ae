#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/rotary/rotary.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

using Any = Shape<dyn, dyn, dyn>;

Tensor<double, Any> reference(const Tensor<double, Any>& x, Index heads, Index first, double base) {
  auto y = x;
  const Index d = x.shape()[2] / heads, half = d / 2;
  for (Index b = 0; b < x.shape()[0]; ++b)
    for (Index t = 0; t < x.shape()[1]; ++t)
      for (Index h = 0; h < heads; ++h)
        for (Index m = 0; m < half; ++m) {
          const double angle = static_cast<double>(first + t) *
                               std::pow(base, -2.0 * static_cast<double>(m) / static_cast<double>(d));
          const double a = x(b, t, h * d + m), c = x(b, t, h * d + half + m);
          y(b, t, h * d + m) = a * std::cos(angle) - c * std::sin(angle);
          y(b, t, h * d + half + m) = c * std::cos(angle) + a * std::sin(angle);
        }
  return y;
}

template <class T>
void agrees(const Any& shape, Index heads, Index first, double base, double allowed) {
  CAPTURE(dtype_name<T>(), shape.text(), heads, first, base);
  const auto x = random<T>(1, shape);
  CHECK(distance(rotary(x, heads, first, base), reference(Tensor(cast<double>(x)), heads, first, base)) <=
        allowed);
}

}  // namespace

TEST_CASE("rotary embedding agrees with its definition", "[rotary]") {
  for (const Index d : {2, 6, 16, 34})
    for (const Index heads : {1, 3}) agrees<double>(Any{{2, 7, heads * d}}, heads, heads * 5, 10000, 1e-12);
  agrees<double>(Any{{1, 3, 8}}, 2, 0, 500000, 1e-12);
  agrees<double>(Any{{1, 1, 2}}, 1, 0, 10000, 1e-12);
  agrees<double>(Any{{0, 3, 4}}, 1, 0, 10000, 1e-12);
  agrees<float>(Any{{2, 9, 24}}, 2, 3, 10000, 1e-5);
  agrees<bf16>(Any{{2, 9, 24}}, 2, 3, 10000, 1e-2);
}

TEST_CASE("the gradient of rotary embedding turns back", "[rotary]") {
  const auto x = random<double>(2, Shape<2, 3, 8>{});
  CHECK(gradient_error([](const auto& a) { return rotary(a * 2.0, 2, 4); }, x) <= 1e-9);
  CHECK(gradient_error([](const auto& a) { return rotary(a, 1) + a; }, x) <= 1e-9);
  static_assert(std::same_as<shape_of<decltype(rotary(x, 2))>, Shape<2, 3, 8>>);
}

TEST_CASE("products of turned vectors depend on the distance only", "[rotary]") {
  const auto q = random<double>(3, Shape<1, 16>{}), k = random<double>(4, Shape<1, 16>{});
  const auto product = [&](Index i, Index j) { return sum(rotary(q, 1, i) * rotary(k, 1, j)).item(); };
  CHECK(product(9, 4) == Approx(product(105, 100)).epsilon(1e-12));
  CHECK(std::abs(product(9, 4) - product(9, 5)) > 1e-3);
}

TEST_CASE("a rotation may start anywhere", "[rotary]") {
  const auto x = random<float>(5, Any{{1, 12, 8}});
  const auto complete = rotary(x, 2), part = rotary(Tensor(slice<1>(x, 7, 5)), 2, 7);
  CHECK(std::memcmp(complete.data() + 56, part.data(), sizeof(float) * 40) == 0);
  CHECK(thread_independent([&] { return rotary(x, 2); },
                           [](const auto& a, const auto& b) { return same_bits(a, b); }));
}

TEST_CASE("heads that do not fit a rotation are an error", "[rotary]") {
  const auto x = random<float>(6, Any{{1, 2, 6}});
  CHECK_THROWS_WITH(rotary(x, 4), Contains("rotary: Shape<1, 2, 6> from position 0 is not made of 4 heads") &&
                                      Contains("rotary_test.cpp:"));
  CHECK_THROWS_AS(rotary(x, 2), ShapeError);  // heads of 3
  CHECK_THROWS_AS(rotary(x, 1, -1), ShapeError);
}
