#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {

using Line = Shape<11>;

/// Both signs, away from the kinks at 0.
Tensor<double, Line> both_signs() {
  const auto x = normal<Line, double>(Key{3});
  return x + where(x > 0, 0.2, -ones<Line, double>() * 0.2);
}
/// Between 0.2 and 3.2.
Tensor<double, Line> positive(std::uint64_t seed = 4) { return uniform<Line, double>(Key{seed}) * 3 + 0.2; }

constexpr double tolerance = 1e-9;

}  // namespace

TEST_CASE("Gradients of functions of one number") {
  const auto x = both_signs(), p = positive();
  CHECK(gradient_error([](auto& a) { return -a; }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return exp(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return expm1(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return log(a); }, p) < tolerance);
  CHECK(gradient_error([](auto& a) { return log1p(a); }, p) < tolerance);
  CHECK(gradient_error([](auto& a) { return sqrt(a); }, p) < tolerance);
  CHECK(gradient_error([](auto& a) { return square(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return abs(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return sin(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return cos(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return tanh(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return erf(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return sigmoid(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return relu(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return silu(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return gelu(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return softplus(a); }, x) < tolerance);
}

TEST_CASE("Gradients of functions of two numbers") {
  const auto x = both_signs(), y = positive(5), z = positive(6);
  CHECK(gradient_error([](auto& a, auto& b) { return a + b; }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return a - b; }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return a * b; }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return a / b; }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return maximum(a, b); }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return minimum(a, b); }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return pow(a, b); }, y, z) < tolerance);
}

TEST_CASE("Gradients beside plain numbers") {
  const auto x = both_signs(), p = positive();
  CHECK(gradient_error([](auto& a) { return 2 - a * 3 + 1 / a; }, p) < tolerance);
  CHECK(gradient_error([](auto& a) { return pow(a, 2.5) + pow(1.5, a); }, p) < tolerance);
  CHECK(gradient_error([](auto& a) { return maximum(a, 0.1) - minimum(0.3, a); }, x) < tolerance);
}

TEST_CASE("At a tie the gradient of maximum and minimum goes to the first, and abs and relu have none at 0") {
  const Tensor<double, Shape<3>> x{1, 2, 0}, y{1, 3, 0};
  Tape tape;
  const auto a = tape.watch(x), b = tape.watch(y);
  tape.backward(sum(maximum(a, b) + 10 * minimum(a, b) + 100 * abs(b) + 1000 * relu(a)));
  const auto da = tape.gradient(a), db = tape.gradient(b);
  CHECK((da(0) == 1011 && da(1) == 1010 && da(2) == 11));
  CHECK((db(0) == 100 && db(1) == 101 && db(2) == 0));
}

TEST_CASE("Gradients flow through the branch that where takes, and not through its condition") {
  const auto x = both_signs(), y = positive();
  CHECK(gradient_error([](auto& a, auto& b) { return where(a > 0, a * b, exp(a) - b); }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a) { return where(a * a < 1, a * a, 2 * abs(a) - 1); }, x) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return where(!(a > b) && b > 0, 3, a * a); }, x, y) <
        tolerance);
  CHECK(gradient_error([](auto& a) { return a * cast<double>(a > 0); }, x) < tolerance);
}

TEST_CASE("where shields the gradient from values that were not taken") {
  Tape tape;
  const auto x = tape.watch(Tensor<double, Shape<3>>{-1, 0, 4});
  tape.backward(sum(where(x > 0, x, 0) * 2 + where(x > 0, 1.5, x)));
  const auto gradient = tape.gradient(x);
  CHECK((gradient(0) == 1 && gradient(1) == 1 && gradient(2) == 2));
}

TEST_CASE("Derivatives of lambdas are found at compile time") {
  constexpr auto mish = elementwise([](auto x) { return x * tanh(log1p(exp(x))); });
  constexpr auto norm = elementwise([](auto x, auto y) { return sqrt(x * x + y * y + 1); });
  constexpr auto choose =
      elementwise([](auto x, auto y) { return select(x > y, x / y, pow(y, 3 - x) - expm1(x)); });
  constexpr auto mixture = elementwise([](auto x) {
    return maximum(sin(x), cos(x)) + minimum(erf(x), x * x / 4) * abs(x) - log(x * x + 1) / 2;
  });
  const auto x = both_signs(), y = positive();
  CHECK(gradient_error([&](auto& a) { return mish(a); }, x) < tolerance);
  CHECK(gradient_error([&](auto& a, auto& b) { return norm(a, b * 2); }, x, y) < tolerance);
  CHECK(gradient_error([&](auto& a, auto& b) { return choose(a, b); }, x, y) < tolerance);
  CHECK(gradient_error([&](auto& a) { return mixture(a); }, x) < tolerance);
}

TEST_CASE("A derivative that was stated and one that was found agree") {
  constexpr auto found = elementwise([](auto x) { return x / (1 + exp(-x)); });
  const auto x0 = both_signs();
  Tape tape;
  const auto x = tape.watch(x0), y = tape.watch(x0);
  tape.backward(sum(silu(x) + found(y)));
  const auto stated = tape.gradient(x), computed = tape.gradient(y);
  for (Index i = 0; i < x0.size(); ++i) CHECK(stated(i) == Approx(computed(i)).margin(1e-14));
}

TEST_CASE("Gradients return through casts in the type of each leaf") {
  const auto x0 = both_signs();
  const Tensor<float, Line> y0 = cast<float>(positive());
  Tape tape;
  const auto x = tape.watch(x0);
  const auto y = tape.watch(y0);
  tape.backward(sum(cast<double>(cast<float>(x) * y) * x));
  const auto dx = tape.gradient(x);
  const auto dy = tape.gradient(y);
  static_assert(std::same_as<element_of<decltype(dy)>, float>);
  for (Index i = 0; i < x0.size(); ++i) {
    CHECK(dx(i) == Approx(2 * x0(i) * static_cast<double>(y0(i))).epsilon(1e-6));
    CHECK(dy(i) == Approx(x0(i) * x0(i)).epsilon(1e-6));
  }
}

TEST_CASE("Gradients of bf16 are those of float, rounded") {
  const Tensor<bf16, Line> x0 = cast<bf16>(both_signs());
  const Tensor<float, Line> exact0 = cast<float>(x0);
  Tape tape;
  const auto x = tape.watch(x0);
  const auto exact = tape.watch(exact0);
  tape.backward(sum(cast<float>(gelu(x))) + sum(gelu(exact)));
  const auto rounded = tape.gradient(x);
  const auto gradient = tape.gradient(exact);
  for (Index i = 0; i < x0.size(); ++i) CHECK(rounded(i).bits() == bf16{gradient(i)}.bits());
}
