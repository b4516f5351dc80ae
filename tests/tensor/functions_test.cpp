// Elementwise functions against those of the standard library.
#include <catch2/catch.hpp>
#include <limits>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Numbers in a range, the edges of floating point among them where `specials`.
template <class T>
Tensor<T, Line> numbers(double from, double to, bool specials = true) {
  std::vector<T> x;
  for (int i = 0; i <= 200; ++i)
    x.push_back(static_cast<T>(static_cast<float>(from + (to - from) * i / 200)));
  if (specials)
    for (const float value :
         {0.0f, -0.0f, infinity, -infinity, std::nanf(""), 0.5f, -0.5f, 1.5f, 2.5f, -2.5f})
      x.push_back(static_cast<T>(value));
  return Tensor<T, Line>{Line{{static_cast<Index>(x.size())}}, x};
}

/// The number of elements where f(x) is not what g says of a double.
template <class T, class F, class G>
Index wrong_of(const Tensor<T, Line>& x, const F& f, const G& g) {
  return wrong(f(x), [&](Index i) {
    return static_cast<compute_type<T>>(g(static_cast<double>(static_cast<compute_type<T>>(x(i)))));
  });
}

template <class T, class F, class G>
Index wrong_pairs(const F& f, const G& g) {
  const auto x = sample<T>(Line{{37}}, 1), y = sample<T>(Line{{37}}, 2);
  const auto number = [](T v) { return static_cast<double>(static_cast<compute_type<T>>(v)); };
  return wrong(f(x, y), [&](Index i) { return static_cast<compute_type<T>>(g(number(x(i)), number(y(i)))); });
}

}  // namespace

TEMPLATE_TEST_CASE("Functions of mathematics", "", float, double, half) {
  using T = TestType;
  const auto any = numbers<T>(-9, 9), inner = numbers<T>(-1, 1), above = numbers<T>(1, 9);
#define CHECK_LIKE_STD(function, x) \
  CHECK(wrong_of(                   \
            x, [](auto& a) { return function(a); }, [](double a) { return std::function(a); }) == 0)
  CHECK_LIKE_STD(exp2, any);
  CHECK_LIKE_STD(log2, any);
  CHECK_LIKE_STD(log10, any);
  CHECK_LIKE_STD(cbrt, any);
  CHECK_LIKE_STD(tan, inner);
  CHECK_LIKE_STD(asin, inner);
  CHECK_LIKE_STD(acos, inner);
  CHECK_LIKE_STD(atan, any);
  CHECK_LIKE_STD(sinh, any);
  CHECK_LIKE_STD(cosh, any);
  CHECK_LIKE_STD(asinh, any);
  CHECK_LIKE_STD(acosh, above);
  CHECK_LIKE_STD(atanh, inner);
  CHECK_LIKE_STD(floor, any);
  CHECK_LIKE_STD(ceil, any);
  CHECK_LIKE_STD(trunc, any);
#undef CHECK_LIKE_STD
  CHECK(wrong_of(
            any, [](auto& a) { return round(a); }, [](double a) { return std::nearbyint(a); }) == 0);
  CHECK(wrong_of(
            any, [](auto& a) { return rsqrt(a); }, [](double a) { return 1 / std::sqrt(a); }) == 0);
  CHECK(wrong_of(
            any, [](auto& a) { return reciprocal(a); }, [](double a) { return 1 / a; }) == 0);
  CHECK(wrong_of(
            any, [](auto& a) { return sign(a); },
            [](double a) { return std::isnan(a) ? a : double((a > 0) - (a < 0)); }) == 0);
}

TEST_CASE("Signs of zeros survive the roundings") {
  const Tensor<float, Shape<4>> x{-0.0f, -0.3f, -0.5f, -0.7f};
  const Tensor up = ceil(x), near = round(x), cut = trunc(x), down = floor(x);
  for (Index i = 0; i < 4; ++i) CHECK((std::signbit(up(i)) && std::signbit(near(i)) && std::signbit(cut(i))));
  CHECK((down(0) == 0 && std::signbit(down(0)) && down(1) == -1 && near(3) == -1));
  const Tensor<float, Shape<3>> large{8388609.0f, -16777216.0f, 3e38f};
  CHECK((equal(Tensor(floor(large)), large) && equal(Tensor(round(large)), large)));
}

TEMPLATE_TEST_CASE("Functions of two numbers", "", float, double) {
  using T = TestType;
  CHECK(wrong_pairs<T>([](auto& x, auto& y) { return atan2(x, y); },
                       [](double x, double y) { return std::atan2(x, y); }) == 0);
  CHECK(wrong_pairs<T>([](auto& x, auto& y) { return hypot(x, y); },
                       [](double x, double y) { return std::hypot(x, y); }) == 0);
  CHECK(wrong_pairs<T>([](auto& x, auto& y) { return fmod(x, y); },
                       [](double x, double y) { return std::fmod(x, y); }) == 0);
  CHECK(wrong_pairs<T>([](auto& x, auto& y) { return remainder(x, y); },
                       [](double x, double y) { return x - y * std::floor(x / y); }) == 0);
  CHECK(wrong_pairs<T>([](auto& x, auto& y) { return floor_divide(x, y); },
                       [](double x, double y) { return std::floor(x / y); }) == 0);
  const Tensor<T, Shape<2>> huge{T(3e30), T(1e-30)};
  CHECK(wrong(hypot(huge, huge * T(4) / T(3)), [&](Index i) { return huge(i) * T(5) / T(3); }) == 0);
  const Tensor<T, Shape<1>> one{1};
  CHECK((Tensor(floor_divide(one, 0))(0) == T(infinity) && std::isnan(Tensor(remainder(one, 0))(0))));
}

TEMPLATE_TEST_CASE("Questions about values", "", float, double, bf16) {
  using T = TestType;
  const auto x = numbers<T>(-2, 2);
  const auto value = [&](Index i) { return static_cast<compute_type<T>>(x(i)); };
  CHECK(wrong(isnan(x), [&](Index i) { return std::isnan(value(i)); }) == 0);
  CHECK(wrong(isinf(x), [&](Index i) { return std::isinf(value(i)); }) == 0);
  CHECK(wrong(isfinite(x), [&](Index i) { return std::isfinite(value(i)); }) == 0);
}

TEMPLATE_TEST_CASE("Activation functions", "", float, double, bf16) {
  using T = TestType;
  const auto x = numbers<T>(-9, 9, false);
  const auto softplus_of = [](double a) { return std::log1p(std::exp(a)); };
  const auto check = [&](const auto& f, const auto& g) { CHECK(wrong_of(x, f, g) == 0); };
  const auto limited = [](double a, double low, double high) { return std::clamp(a, low, high); };
  check([](auto& a) { return gelu_erf(a); },
        [](double a) { return a / 2 * (1 + std::erf(a / std::sqrt(2.0))); });
  check([](auto& a) { return log_sigmoid(a); }, [=](double a) { return -softplus_of(-a); });
  check([](auto& a) { return leaky_relu(a); }, [](double a) { return a > 0 ? a : 0.01f * a; });
  check([](auto& a) { return leaky_relu(a, 0.25); }, [](double a) { return a > 0 ? a : 0.25 * a; });
  check([](auto& a) { return elu(a); }, [](double a) { return a > 0 ? a : std::expm1(a); });
  check([](auto& a) { return elu(a, 0.5); }, [](double a) { return a > 0 ? a : std::expm1(a) / 2; });
  check([](auto& a) { return selu(a); },
        [](double a) { return 1.0507009873554805 * (a > 0 ? a : 1.6732632423543772 * std::expm1(a)); });
  check([](auto& a) { return mish(a); }, [=](double a) { return a * std::tanh(softplus_of(a)); });
  check([](auto& a) { return softsign(a); }, [](double a) { return a / (1 + std::abs(a)); });
  check([](auto& a) { return hardtanh(a); }, [=](double a) { return limited(a, -1, 1); });
  check([](auto& a) { return relu6(a); }, [=](double a) { return limited(a, 0, 6); });
  check([](auto& a) { return hard_sigmoid(a); }, [=](double a) { return limited(a / 6 + 0.5, 0, 1); });
  check([](auto& a) { return hard_swish(a); }, [=](double a) { return a * limited(a / 6 + 0.5, 0, 1); });
}

TEST_CASE("Activation functions neither overflow nor lose their limits") {
  const Tensor<float, Shape<2>> x{-1000, 1000};
  const auto ends = [](const auto& e) {
    const Tensor y = e;
    return std::array{y(0), y(1)};
  };
  CHECK(ends(mish(x)) == std::array{-0.0f, 1000.0f});
  CHECK(ends(elu(x)) == std::array{-1.0f, 1000.0f});
  CHECK(ends(gelu(x)) == std::array{-0.0f, 1000.0f});
  CHECK(ends(gelu_erf(x)) == std::array{-0.0f, 1000.0f});
  CHECK(ends(log_sigmoid(x)) == std::array{-1000.0f, -0.0f});
}
