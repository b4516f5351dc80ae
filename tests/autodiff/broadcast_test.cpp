#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {

constexpr double tolerance = 1e-9;

const auto product = [](auto& a, auto& b) { return a * sin(b) + a; };

template <class A, class B>
void check(const A& sa = {}, const B& sb = {}) {
  INFO(sa << " with " << sb);
  const auto a = normal<A, double>(Key{1}, sa);
  const auto b = normal<B, double>(Key{2}, sb);
  CHECK(gradient_error(product, a, b) < tolerance);
}

}  // namespace

TEST_CASE("Gradients of broadcast operands are summed over the axes they repeat along") {
  check<Shape<>, Shape<>>();
  check<Shape<19>, Shape<>>();
  check<Shape<5>, Shape<1>>();
  check<Shape<4, 3>, Shape<3>>();
  check<Shape<17>, Shape<4, 1>>();
  check<Shape<4, 1>, Shape<1, 11>>();
  check<Shape<2, 3, 9>, Shape<2, 1, 9>>();
  check<Shape<3, 1>, Shape<2, 3, 9>>();
  check<Shape<2, 1, 1>, Shape<3, 9>>();
  check<Shape<2, 1, 3, 1>, Shape<2, 1, 5>>();
}

TEST_CASE("Gradients of broadcast dynamic shapes") {
  for (const Index n : {1, 3, 8, 10}) {
    check(Shape<dyn, 3>{{n, 3}}, Shape<3>{});
    check(Shape<dyn, dyn>{{4, n}}, Shape<dyn>{{n}});
    check(Shape<dyn, 1>{{n, 1}}, Shape<1, dyn>{{1, 5}});
  }
}

TEST_CASE("The gradient of a long broadcast is the sum over all of it, in parallel chunks") {
  const auto x0 = normal<Shape<3000, 70>, double>(Key{1});
  const auto row0 = normal<Shape<70>, double>(Key{2});
  const auto column0 = normal<Shape<3000, 1>, double>(Key{3});
  Tape tape;
  const auto x = tape.watch(x0);
  const auto row = tape.watch(row0), number = tape.watch(Tensor<double, Shape<70>>(row0 * 2));
  const auto column = tape.watch(column0);
  const auto scale = tape.watch(Tensor<double, Shape<>>{3});
  tape.backward(sum(x * row * column * scale + number));
  const Tensor expected = sum<0>(x0 * column0) * 3.0;
  const Tensor expected_column = sum<1>(x0 * row0, keep_axes) * 3.0;
  const auto worst = [](const auto& a, const auto& b) { return max(abs(a - b)).item(); };
  CHECK(worst(tape.gradient(x), row0 * column0 * 3.0) < 1e-11);
  CHECK(worst(tape.gradient(row), expected) < 1e-10);
  CHECK(worst(tape.gradient(column), expected_column) < 1e-10);
  CHECK(worst(tape.gradient(number), full<Shape<70>, double>(3000)) < 1e-10);
  CHECK(tape.gradient(scale).item() == Approx(sum(x0 * row0 * column0).item()).epsilon(1e-9));
}
