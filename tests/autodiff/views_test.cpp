#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {

constexpr double tolerance = 1e-9;

}  // namespace

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
