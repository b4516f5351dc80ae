#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/matmul/matmul.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

#include "tests/threads.hpp"

using namespace burrow;

namespace {

constexpr double tolerance = 1e-9;

}  // namespace

TEST_CASE("Gradients reach the elements that indices name") {
  const auto x = normal<Shape<5, 6, 7>, double>(Key{1});
  CHECK(gradient_error([](auto& a) { return sin(view(a, range<1, 5, 2>(), new_axis, -2, range(6, 1, -2))); },
                       x) < tolerance);
  CHECK(
      gradient_error(
          [](auto& a) { return square(view(a, ellipsis, index<3>())) * view(a, whole_axis, whole_axis, 0); },
          x) < tolerance);
  CHECK(gradient_error(
            [](auto& a) {
              const auto [first, second] = split<2, 1>(a);
              return flip<0, 2>(first) * permute<0, 1, 2>(second) * squeeze(expand_dims<1>(first));
            },
            x) < tolerance);
  CHECK(gradient_error([](auto& a) { return sum<0>(exp(permute<2, 0, 1>(a))) * flip(at<2>(a, 3)); }, x) <
        tolerance);
}

TEST_CASE("The gradient of a broadcast view is the sum over its repetitions") {
  const auto row = normal<Shape<5>, double>(Key{1});
  const auto column = normal<Shape<4, 1>, double>(Key{2});
  const auto x = normal<Shape<4, 5>, double>(Key{3});
  // As an operand of a fused expression, of a reduction, of another view, and as a result.
  CHECK(gradient_error(
            [](auto& r, auto& c, auto& a) {
              return sin(broadcast_to<Shape<4, 5>>(r)) * a + broadcast_to<Shape<4, 5>>(c) * c;
            },
            row, column, x) < tolerance);
  CHECK(gradient_error([](auto& r) { return sum<1>(square(broadcast_to<Shape<3, 4, 5>>(r))); }, row) <
        tolerance);
  CHECK(gradient_error([](auto& r) { return broadcast_to<Shape<3, 5>>(r); }, row) < tolerance);
  CHECK(gradient_error([](auto& c) { return transpose(flip(broadcast_to<Shape<4, 3>>(c))) * 2; }, column) <
        tolerance);
  CHECK(gradient_error([](auto& r) { return repeat<3, 0>(r) * tile<3, 0>(r); }, row) < tolerance);
  // A broadcast part that has as many elements as the whole does not cover the whole.
  CHECK(gradient_error([](auto& r) { return exp(broadcast_to<Shape<5>>(view(r, range<2, 3>()))); }, row) <
        tolerance);
  CHECK(gradient_error([](auto& r) { return transpose(broadcast_to<Shape<5, 1>>(view(r, range_of<1>(1)))); },
                       row) < tolerance);
  // A broadcast view that is broadcast again by the expression around it.
  CHECK(gradient_error([](auto& c, auto& a) { return broadcast_to<Shape<3, 4, 1>>(c) * a; }, column, x) <
        tolerance);
  CHECK(gradient_error([](auto& c) { return broadcast_to<Shape<0, 4, 1>>(c); }, column) < tolerance);
}

TEST_CASE("Products pass gradients to reversed and repeated operands") {
  const auto a = normal<Shape<3, 4>, double>(Key{1});
  const auto b = normal<Shape<4, 5>, double>(Key{2});
  CHECK(gradient_error([](auto& x, auto& y) { return matmul(flip<0>(x), flip(y)); }, a, b) < tolerance);
  CHECK(gradient_error(
            [](auto& x, auto& y) {
              return matmul(broadcast_to<Shape<6, 3, 4>>(x), broadcast_to<Shape<6, 4, 5>>(y));
            },
            a, b) < tolerance);
  CHECK(gradient_error([](auto& x, auto& y) { return matmul(broadcast_to<Shape<3, 4>>(at(x, 1)), y); }, a,
                       b) < tolerance);
  CHECK(gradient_error(
            [](auto& x, auto& y) { return matmul(x, transpose(broadcast_to<Shape<5, 4>>(at<1>(y, 1)))); }, a,
            b) < tolerance);
}

TEST_CASE("The sum over repetitions does not depend on the number of threads") {
  const auto line = normal<Shape<700>>(Key{1});
  const auto weights = normal<Shape<300, 700>>(Key{2});
  const auto gradient = [&] {
    Tape tape;
    const auto x = tape.watch(line);
    tape.backward(sum(broadcast_to<Shape<300, 700>>(x) * weights));
    return tape.gradient(x);
  };
  const auto on = [&](int count) {
    const Threads threads{count};
    return gradient();
  };
  const auto alone = on(1);
  CHECK(sum(alone != on(3)).item() == 0);
  CHECK(max(abs(alone - sum<0>(weights))).item() < 1e-4f);
}

TEST_CASE("A part of the whole tape value may be swept from") {
  Tape tape;
  const auto x = tape.watch(normal<Shape<4, 3>, double>(Key{1}));
  tape.backward(sum(view(x * 2, range(1, 3))));
  CHECK(sum(tape.gradient(x)).item() == 12);
}
