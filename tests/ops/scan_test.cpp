#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/scan/scan.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;

namespace {

using Cube = Shape<dyn, dyn, dyn>;

template <class V>
void check_middle_axis(const V& x) {
  using T = element_of<decltype(cumsum<1>(x))>;
  CAPTURE(x.shape().text());
  const auto sums = cumsum<1>(x), products = cumprod<1>(x);
  bool right = sums.shape().values() == x.shape().values();
  for (Index o = 0; o < x.shape()[0]; ++o)
    for (Index i = 0; i < x.shape()[2]; ++i) {
      double sum = 0, product = 1;
      for (Index k = 0; k < x.shape()[1]; ++k) {
        sum += static_cast<double>(x(o, k, i));
        product *= static_cast<double>(x(o, k, i));
        const auto close = [](T value, double expected) {
          return std::abs(static_cast<double>(value) - expected) <= tolerance<T>() * (1 + std::abs(expected));
        };
        right = right && close(sums(o, k, i), sum) && close(products(o, k, i), product);
      }
    }
  CHECK(right);
}

}  // namespace

TEMPLATE_TEST_CASE("cumsum and cumprod agree with loops", "[scan]", double, float, bf16) {
  for (const Index inner : {0, 1, 3, 40})
    for (const Index extent : {0, 1, 2, 300}) {
      const auto x = random<TestType>(1, Cube{{2, extent, inner}});
      check_middle_axis(x);
      if constexpr (std::same_as<TestType, float>) check_middle_axis(transpose<0, 1>(x));
    }
}

TEST_CASE("cumsum of integers and along any axis", "[scan]") {
  const auto x = arange<Shape<2, 3>, std::uint8_t>();
  const auto rows = cumsum<-1>(x);
  static_assert(std::same_as<decltype(rows), const Tensor<std::int64_t, Shape<2, 3>>>);
  CHECK((rows(0, 2) == 3 && rows(1, 2) == 12));
  CHECK(cumsum<0>(x)(1, 1) == 5);
  CHECK(cumsum<1>(x > 1)(0, 2) == 1);
  CHECK(cumprod<1>(x + 1)(1, 2) == 120);
}

TEST_CASE("a long cumsum of floats stays accurate", "[scan]") {
  const auto y = cumsum<0>(full<Shape<1000000>>(0.1f));
  CHECK(y(999999) == Approx(1000000 * static_cast<double>(0.1f)).epsilon(1e-7));
}

TEST_CASE("gradients of cumsum and cumprod agree with differences, with zeros too", "[scan]") {
  auto x = random<double>(2, Shape<3, 5, 2>{});
  check_gradient([](const auto& a) { return cumsum<1>(a * a) * cumsum<0>(transpose<0, 0>(a)); }, x);
  const auto products = [](const auto& a) { return cumprod<1>(a * 1.5) + sum(a); };
  check_gradient(products, x);
  x(1, 2, 0) = 0;
  check_gradient(products, x);
  x(1, 4, 0) = 0;
  x(2, 0, 1) = 0;
  check_gradient(products, x);
}

TEST_CASE("scans do not depend on the number of threads", "[scan]") {
  const auto x = random<float>(3, Cube{{30, 70, 90}});
  CHECK(thread_independent(
      [&] {
        return std::pair{cumsum<1>(x), cumprod<0>(x)};
      },
      [](const auto& a, const auto& b) {
        return same_bits(a.first, b.first) && same_bits(a.second, b.second);
      }));
}
