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

TEST_CASE("An operand may appear several times") {
  const auto x = normal<Shape<6, 6>, double>(Key{1});
  CHECK(gradient_error([](auto& a) { return a * a; }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return a * a * a + a / (a * a + 1); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return a * transpose(a) + transpose(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return transpose(a) * sin(transpose(a)); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return slice<0, 5>(a, 0) * slice<0, 5>(a, 1); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return a + at(a, 2) * at<1>(a, 3); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return a * reshape<Shape<6, 1, 6>>(a) * at(at(a, 1), 2); }, x) <
        tolerance);
  const Tensor<double, Shape<1>> one{0.7};
  CHECK(gradient_error([](auto& a, auto& b) { return a * b * b + b; }, x, one) < tolerance);
}

TEST_CASE("Gradients go through views to the elements they show") {
  const auto x = normal<Shape<4, 5, 6>, double>(Key{1});
  const auto y = normal<Shape<6, 5, 4>, double>(Key{2});
  CHECK(gradient_error([](auto& a, auto& b) { return transpose<0, 2>(a) * b; }, x, y) < tolerance);
  CHECK(gradient_error([](auto& a) { return exp(slice<2>(a, 1, 2, 3)); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return slice<1>(a, 4, 5, -1) * a; }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return square(at<1>(a, 3)); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return sin(reshape<Shape<6, 20>>(transpose(a))); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return slice<1, 2>(transpose(slice<0, 2>(a * a, 1)), 3); }, x) <
        tolerance);
}

TEST_CASE("Strided operands that repeat are summed into their place") {
  const auto x = normal<Shape<3, 8>, double>(Key{1});
  const auto table = normal<Shape<7, 3>, double>(Key{2});
  CHECK(gradient_error([](auto& a, auto& t) { return t * slice<0, 3>(at<1>(a, 5), 0); }, x, table) <
        tolerance);
  CHECK(gradient_error([](auto& a, auto& t) { return transpose(t) * slice<1, 1>(a, 6) + slice<1, 7>(a, 1); },
                       x, table) < tolerance);
}

TEST_CASE("Views of views keep the place in the watched tensor") {
  Tape tape;
  const auto x = tape.watch(zeros<Shape<3, 4>, double>());
  const auto row = at(x, 1);
  tape.backward(sum(row * Tensor<double, Shape<4>>{1, 2, 3, 4}) + at(at(reshape<Shape<4, 3>>(x), 3), 2));
  const auto gradient = tape.gradient(x);
  CHECK((gradient(1, 0) == 1 && gradient(1, 3) == 4 && gradient(2, 3) == 1 && sum(gradient).item() == 11));
  CHECK(tape.gradient(row)(2) == 3);
}
