#include <catch2/catch.hpp>
#include <limits>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;

namespace {

/// Checks f of expressions against g of numbers in compute precision; for two types also beside a number.
template <class T, class F, class G>
void check_binary(const F& f, const G& g) {
  using C = compute_type<T>;
  for (const Index size : line_sizes()) {
    const auto x = sample<T>(Line{{size}}, 1), y = sample<T>(Line{{size}}, 2);
    const auto a = [&](Index i) { return static_cast<C>(x(i)); };
    const auto b = [&](Index i) { return static_cast<C>(y(i)); };
    CHECK(wrong(f(x, y), [&](Index i) { return g(a(i), b(i)); }) == 0);
    if constexpr (std::same_as<T, float> || std::same_as<T, std::int32_t>) {
      CHECK(wrong(f(x, 3), [&](Index i) { return g(a(i), C(3)); }) == 0);
      CHECK(wrong(f(3, y), [&](Index i) { return g(C(3), b(i)); }) == 0);
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("Operators", "", float, double, bf16, half, std::int32_t, std::int64_t, std::uint8_t) {
  using T = TestType;
  using C = compute_type<T>;
  check_binary<T>([](auto x, auto y) { return x + y; }, [](C x, C y) { return x + y; });
  check_binary<T>([](auto x, auto y) { return x - y; }, [](C x, C y) { return x - y; });
  check_binary<T>([](auto x, auto y) { return x * y; }, [](C x, C y) { return x * y; });
  using R = floating<C>;
  check_binary<T>([](auto x, auto y) { return x / y; },
                  [](C x, C y) { return static_cast<R>(x) / static_cast<R>(y); });
  check_binary<T>([](auto x, auto y) { return maximum(x, y); }, [](C x, C y) { return std::max(x, y); });
  check_binary<T>([](auto x, auto y) { return minimum(x, y); }, [](C x, C y) { return std::min(x, y); });
  check_binary<T>([](auto x, auto y) { return x < y; }, [](C x, C y) { return x < y; });
  check_binary<T>([](auto x, auto y) { return x <= y; }, [](C x, C y) { return x <= y; });
  check_binary<T>([](auto x, auto y) { return x > y; }, [](C x, C y) { return x > y; });
  check_binary<T>([](auto x, auto y) { return x >= y; }, [](C x, C y) { return x >= y; });
  check_binary<T>([](auto x, auto y) { return x == y; }, [](C x, C y) { return x == y; });
  check_binary<T>([](auto x, auto y) { return x != y; }, [](C x, C y) { return x != y; });
}

TEMPLATE_TEST_CASE("Powers", "", float, double) {
  using T = TestType;
  check_binary<T>([](auto x, auto y) { return pow(x, y); }, [](T x, T y) { return std::pow(x, y); });
}

TEST_CASE("Truth values") {
  for (const Index size : line_sizes()) {
    const auto p = sample<bool>(Line{{size}}, 1), q = sample<bool>(Line{{size}}, 2);
    CHECK(wrong(p && q, [&](Index i) { return p(i) && q(i); }) == 0);
    CHECK(wrong(p || q, [&](Index i) { return p(i) || q(i); }) == 0);
    CHECK(wrong(!p, [&](Index i) { return !p(i); }) == 0);
    CHECK(wrong(p == q, [&](Index i) { return p(i) == q(i); }) == 0);
    CHECK(wrong(p != q, [&](Index i) { return p(i) != q(i); }) == 0);
    CHECK(wrong(where(p, q, !q), [&](Index i) { return p(i) ? q(i) : !q(i); }) == 0);
    const auto x = sample<double>(Line{{size}}, 3);
    CHECK(wrong(p && x > 0, [&](Index i) { return p(i) && x(i) > 0; }) == 0);
    CHECK(wrong(where(x > 1, p, true), [&](Index i) { return x(i) > 1 ? p(i) : true; }) == 0);
    CHECK(wrong(p == true, [&](Index i) { return p(i); }) == 0);
    CHECK(wrong(p * x, [&](Index i) { return p(i) ? x(i) : 0; }) == 0);
  }
}

TEST_CASE("Element types meet by promotion") {
  const auto f = sample<float>(Line{{21}}, 1);
  const auto d = sample<double>(Line{{21}}, 2);
  const auto h = sample<bf16>(Line{{21}}, 3);
  const auto i = sample<std::int32_t>(Line{{21}}, 4);
  const auto l = sample<std::int64_t>(Line{{21}}, 5);
  static_assert(std::same_as<element_of<decltype(f + d)>, double>);
  static_assert(std::same_as<element_of<decltype(h * f)>, float>);
  static_assert(std::same_as<element_of<decltype(h * i)>, bf16>);
  static_assert(std::same_as<element_of<decltype(h + 1.5f)>, bf16>);
  static_assert(std::same_as<element_of<decltype(i + l)>, std::int64_t>);
  static_assert(std::same_as<element_of<decltype(i * 0.5)>, float>);
  static_assert(std::same_as<element_of<decltype(f * 0.5)>, float>);
  CHECK(wrong(f / d, [&](Index k) { return static_cast<double>(f(k)) / d(k); }) == 0);
  CHECK(wrong(h * f, [&](Index k) { return static_cast<float>(h(k)) * f(k); }) == 0);
  CHECK(wrong(h / i, [&](Index k) { return static_cast<float>(h(k)) / static_cast<float>(i(k)); }) == 0);
  CHECK(wrong(i * 0.5, [&](Index k) { return static_cast<float>(i(k)) * 0.5f; }) == 0);
  CHECK(wrong(i * l - f, [&](Index k) { return static_cast<float>(i(k) * l(k)) - f(k); }) == 0);
}

TEST_CASE("Integers keep all their bits") {
  const std::int64_t large = (std::int64_t{1} << 62) + 1;
  const Tensor<std::int64_t, Shape<3>> x{large, -large, large - 2};
  const Tensor y = where(x > 0, x - 1, x + 1);
  CHECK((y(0) == large - 1 && y(1) == -large + 1 && y(2) == large - 3));
}

TEST_CASE("Comparisons with NaN are false, but for !=") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor<double, Shape<5>> x{nan, 1, nan, 2, nan};
  const Tensor<double, Shape<5>> y{1, nan, nan, 2, 2};
  const Tensor less = x < y, not_less = !(x < y), equal = x == y, different = x != y;
  for (const Index i : {0, 1, 2, 4}) CHECK((!less(i) && not_less(i) && !equal(i) && different(i)));
  CHECK((equal(3) && !different(3)));
}
