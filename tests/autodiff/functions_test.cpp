#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {

using Line = Shape<11>;
constexpr double tolerance = 1e-8;

/// Between the given numbers, and away from 0 and the other kinks of what is tested here.
Tensor<double, Line> between(double low, double high, std::uint64_t seed = 4) {
  const auto x = uniform<Line, double>(Key{seed}) * (high - low) + low;
  return where(abs(x) < 0.05, 0.05, x);
}

template <class F>
void check(const F& f, double low, double high) {
  CHECK(gradient_error(f, between(low, high)) < tolerance);
}

}  // namespace

TEST_CASE("Gradients of the functions of mathematics") {
  check([](auto& a) { return exp2(a) + log2(a) + log10(a) + rsqrt(a) + reciprocal(a); }, 0.2, 3);
  check([](auto& a) { return cbrt(a) + tan(a) + atan(a) + asinh(a); }, -1.2, 1.2);
  check([](auto& a) { return asin(a) * acos(a) + atanh(a); }, -0.8, 0.8);
  check([](auto& a) { return sinh(a) * cosh(a) + acosh(a + 4); }, -2, 2);
  check([](auto& a) { return clamp(a, -1.02, 1.02) + a * sign(a); }, -2, 2);
}

TEST_CASE("Gradients of the functions that take two numbers") {
  const auto x = between(-2, 2, 1), y = between(0.3, 2, 2);
  CHECK(gradient_error([](auto& a, auto& b) { return atan2(a, b) + hypot(a, b * 2); }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return fmod(a, b) + remainder(a * 3, b); }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return clamp(a, -b, b); }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a, auto& b) { return leaky_relu(a, b) + elu(a, b); }, x, y) < tolerance);
}

TEST_CASE("Gradients of activation functions") {
  check([](auto& a) { return gelu(a) + gelu_erf(a); }, -3, 3);
  check([](auto& a) { return log_sigmoid(a) + mish(a) + softsign(a); }, -3, 3);
  check([](auto& a) { return leaky_relu(a, 0.2) + elu(a, 1.5) + selu(a); }, -3, 3);
  check([](auto& a) { return hardtanh(a * 0.6) + relu6(a * 3) + hard_sigmoid(a) + hard_swish(a); }, -2.5,
        2.5);
}

TEST_CASE("Steps have gradient 0, and what surrounds them keeps its own") {
  Tape tape;
  const auto x = tape.watch(between(-3, 3));
  tape.backward(sum(floor(x) + ceil(x) + round(x) + trunc(x) + sign(x) + floor_divide(x, 0.7) + 5 * x));
  const auto gradient = tape.gradient(x);
  for (const double slope : gradient.values()) CHECK(slope == 5);
}

TEST_CASE("Gradients through casts to 16-bit types pass unchanged") {
  Tape tape;
  const auto x = tape.watch(Tensor(cast<float>(between(-3, 3))));
  tape.backward(sum(cast<float>(cast<half>(x)) * 3 + cast<float>(cast<bf16>(x))));
  const auto gradient = tape.gradient(x);
  for (const float slope : gradient.values()) CHECK(slope == 4);
}

TEST_CASE("Derivatives of lambdas that call any function of packets are found at compile time") {
  constexpr auto all = elementwise([](auto x, auto y) {
    return exp2(x) + log2(y) + cbrt(x) + tan(x) + asinh(x) + sinh(x) * cosh(x) + atan2(x, y) + hypot(x, y) +
           atan(x) + floor(x) * x;
  });
  CHECK(gradient_error([&](auto& a, auto& b) { return all(a, b); }, between(-1.2, 1.2, 1),
                       between(0.3, 2, 2)) < tolerance);
}
