#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;

namespace {

/// Checks f of expressions against g of numbers in compute precision.
template <class T, class F, class G>
void check_unary(const F& f, const G& g, double scale = 0.25, double shift = 0) {
  using C = compute_type<T>;
  for (const Index size : line_sizes()) {
    auto x = sample<T>(Line{{size}}, 1);
    for (T& value : x.values()) value = static_cast<T>(C(scale) * static_cast<C>(value) + C(shift));
    CHECK(wrong(f(x), [&](Index i) { return g(static_cast<C>(x(i))); }) == 0);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("Functions of real numbers", "", float, double, half) {
  using T = TestType;
  using C = compute_type<T>;
  const auto logistic = [](C x) { return 1 / (1 + std::exp(-x)); };
  check_unary<T>([](auto& x) { return exp(x); }, [](C x) { return std::exp(x); });
  check_unary<T>([](auto& x) { return expm1(x); }, [](C x) { return std::expm1(x); });
  check_unary<T>([](auto& x) { return log(x); }, [](C x) { return std::log(x); }, 0.5, 5);
  check_unary<T>([](auto& x) { return log1p(x); }, [](C x) { return std::log1p(x); }, 0.5, 5);
  check_unary<T>([](auto& x) { return sqrt(x); }, [](C x) { return std::sqrt(x); }, 0.5, 5);
  check_unary<T>([](auto& x) { return sin(x); }, [](C x) { return std::sin(x); });
  check_unary<T>([](auto& x) { return cos(x); }, [](C x) { return std::cos(x); });
  check_unary<T>([](auto& x) { return tanh(x); }, [](C x) { return std::tanh(x); });
  check_unary<T>([](auto& x) { return erf(x); }, [](C x) { return std::erf(x); });
  check_unary<T>([](auto& x) { return sigmoid(x); }, logistic);
  check_unary<T>([](auto& x) { return silu(x); }, [=](C x) { return x * logistic(x); });
  check_unary<T>([](auto& x) { return softplus(x); }, [](C x) { return std::log(1 + std::exp(x)); });
  check_unary<T>(
      [](auto& x) { return gelu(x); },
      [](C x) { return x / 2 * (1 + std::tanh(std::sqrt(C(2 / M_PI)) * (x + C(0.044715) * x * x * x))); });
}

TEST_CASE("Softplus, sigmoid and silu neither overflow nor lose their limits") {
  const Tensor<double, Shape<4>> x{-800, -40, 40, 800};
  const Tensor plus = softplus(x), logistic = sigmoid(x), linear = silu(x);
  CHECK((plus(0) == 0 && plus(1) == Approx(std::exp(-40)).epsilon(1e-12) && plus(2) == 40 && plus(3) == 800));
  CHECK((logistic(0) == 0 && logistic(1) == Approx(std::exp(-40)).epsilon(1e-12) && logistic(3) == 1));
  CHECK((linear(0) == 0 && linear(3) == 800));
}

TEMPLATE_TEST_CASE("Functions of any numbers", "", float, double, bf16, std::int32_t, std::int64_t) {
  using T = TestType;
  using C = compute_type<T>;
  check_unary<T>([](auto& x) { return -x; }, [](C x) { return -x; }, 1);
  check_unary<T>([](auto& x) { return abs(x); }, [](C x) { return x < 0 ? -x : x; }, 1);
  check_unary<T>([](auto& x) { return square(x); }, [](C x) { return x * x; }, 1);
  check_unary<T>([](auto& x) { return relu(x); }, [](C x) { return x < 0 ? C(0) : x; }, 1);
}

TEMPLATE_TEST_CASE("where chooses element by element", "", float, double, bf16, std::int32_t, std::int64_t) {
  using T = TestType;
  for (const Index size : line_sizes()) {
    const auto p = sample<bool>(Line{{size}}, 1);
    const auto x = sample<T>(Line{{size}}, 2), y = sample<T>(Line{{size}}, 3);
    CHECK(wrong(where(p, x, y), [&](Index i) { return p(i) ? x(i) : y(i); }) == 0);
    CHECK(wrong(where(p, x, 7), [&](Index i) { return p(i) ? x(i) : T(7); }) == 0);
    CHECK(wrong(where(x > y, 7, y), [&](Index i) { return x(i) > y(i) ? T(7) : y(i); }) == 0);
    CHECK(wrong(where(!p && x < 2, x + y, -y), [&](Index i) {
            return !p(i) && x(i) < T(2) ? static_cast<T>(x(i) + y(i)) : static_cast<T>(-y(i));
          }) == 0);
  }
}

TEMPLATE_TEST_CASE("cast gives what static_cast gives", "", float, double, bf16, std::int32_t, std::int64_t,
                   bool) {
  const auto check = []<class To>(To) {
    for (const Index size : {1, 5, 8, 37}) {
      const auto x = sample<TestType>(Line{{size}}, 1);
      CHECK(wrong(cast<To>(x), [&](Index i) { return static_cast<To>(compute_type<TestType>(x(i))); }) == 0);
    }
  };
  check(float{}), check(double{}), check(bf16{}), check(std::int32_t{}), check(std::int64_t{}), check(bool{});
}

TEST_CASE("A chain is computed in one precision: bf16 is rounded where it is stored") {
  const Tensor<bf16, Shape<3>> x{1, 3, 5};
  const Tensor y = (x + 0.001f) * 1000;
  for (Index i = 0; i < 3; ++i) CHECK(y(i).bits() == bf16{(static_cast<float>(x(i)) + 0.001f) * 1000}.bits());
}

TEST_CASE("Elementwise functions from lambdas") {
  constexpr auto mish = elementwise([](auto x) { return x * tanh(log1p(exp(x))); });
  constexpr auto steps = elementwise([](auto x, auto y) { return select(x > y, x - y, x * 2); });
  const auto x = sample<float>(Line{{19}}, 1), y = sample<float>(Line{{19}}, 2);
  CHECK(wrong(mish(x), [&](Index i) { return x(i) * std::tanh(std::log1p(std::exp(x(i)))); }) == 0);
  CHECK(wrong(steps(x, y + 1), [&](Index i) { return x(i) > y(i) + 1 ? x(i) - y(i) - 1 : x(i) * 2; }) == 0);
}
