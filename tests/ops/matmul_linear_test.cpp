#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/matmul/linear.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;
using Matrix = Shape<dyn, dyn>;
using Vector = Shape<dyn>;

TEST_CASE("linear is the product and the bias, with its gradients", "[linear]") {
  for (const auto [m, k, n] :
       {std::array<Index, 3>{5, 7, 3}, std::array<Index, 3>{1, 6, 9}, std::array<Index, 3>{6, 5, 1},
        std::array<Index, 3>{3, 0, 4}, std::array<Index, 3>{0, 3, 4}}) {
    CAPTURE(m, k, n);
    const auto x = random<double>(1, Matrix{{m, k}}), w = random<double>(2, Matrix{{k, n}});
    const auto bias = random<double>(3, Vector{{n}});
    const Tensor expected(matmul(x, w) + bias);
    CHECK(distance(linear(x, w, bias), expected) <= 1e-14);
    if (m > 0 && k > 0)
      CHECK_NOTHROW(check_gradient(
          [](const auto& a, const auto& b, const auto& c) { return linear(a, b, c); }, x, w, bias));
  }
}

TEST_CASE("linear takes leading axes, transposed weights and expressions", "[linear]") {
  const auto x = random<double>(4, Shape<2, 3, 4>{});
  const auto w = random<double>(5, Shape<5, 4>{});
  const auto bias = random<double>(6, Shape<5>{});
  STATIC_REQUIRE(std::same_as<decltype(linear(x, transpose(w), bias)), Tensor<double, Shape<2, 3, 5>>>);
  CHECK(distance(linear(x, transpose(w), bias * 2.0), Tensor(matmul(x, transpose(w)) + bias * 2.0)) <= 1e-14);
  CHECK_NOTHROW(check_gradient(
      [](const auto& a, const auto& b, const auto& c) { return linear(a * a, transpose(b), c * c); }, x, w,
      bias));
}

TEST_CASE("linear of bf16 keeps the gradients of fp32 weights and biases in fp32", "[linear]") {
  const auto x = random<bf16>(7, Shape<40, 65>{});
  const auto w = random<float>(8, Shape<65, 33>{});
  const auto bias = random<float>(9, Shape<33>{});
  Tape tape;
  const auto weight = tape.watch(w);
  const auto shift = tape.watch(bias);
  const auto y = linear(x, cast<bf16>(weight), cast<bf16>(shift));
  STATIC_REQUIRE(std::same_as<element_of<decltype(y)>, bf16>);
  const auto rounded = Tensor(cast<double>(cast<bf16>(w)));
  CHECK(distance(y.value(), Tensor(matmul(cast<double>(x), rounded) + cast<double>(cast<bf16>(bias)))) <=
        1e-2);
  tape.backward(y, Tensor(cast<bf16>(random<float>(10, Shape<40, 33>{}))));
  const auto dy = Tensor(cast<double>(cast<bf16>(random<float>(10, Shape<40, 33>{}))));
  // Nearer than bf16 could be: sums of 40 products are in fp32 from end to end.
  CHECK(distance(tape.gradient(weight), matmul(transpose(Tensor(cast<double>(x))), dy)) <= 1e-5);
  CHECK(distance(tape.gradient(shift), sum<0>(dy)) <= 1e-5);
}

TEST_CASE("matmul of bf16 with fp32 weights gives unrounded gradients, transposed or not", "[matmul]") {
  const auto x = random<bf16>(11, Shape<dyn, dyn>{{30, 21}}),
             dy = random<bf16>(12, Shape<dyn, dyn>{{30, 18}});
  const auto w = random<float>(13, Shape<dyn, dyn>{{18, 21}});
  Tape tape;
  const auto weight = tape.watch(w);
  const auto in = tape.watch(x);
  const auto y = matmul(in, cast<bf16>(transpose(weight)));
  tape.backward(y, dy);
  const auto dy_wide = Tensor(cast<double>(dy)), x_wide = Tensor(cast<double>(x));
  const auto rounded = Tensor(cast<double>(cast<bf16>(w)));
  CHECK(distance(tape.gradient(weight), matmul(transpose(dy_wide), x_wide)) <= 1e-5);
  CHECK(distance(tape.gradient(in), matmul(dy_wide, rounded)) <= 1e-2);
}

TEST_CASE("linear names the extents that do not meet", "[linear]") {
  const auto x = random<float>(14, Matrix{{2, 3}}), w = random<float>(15, Matrix{{3, 5}});
  const auto bias = random<float>(16, Vector{{4}});
  CHECK_THROWS_WITH(linear(x, w, bias), Contains("linear: extents differ: Shape<3, 5> + Shape<4>") &&
                                            Contains("matmul_linear_test.cpp:"));
  CHECK_THROWS_WITH(linear(w, w, bias), Contains("linear: extents differ: Shape<3, 5> x Shape<3, 5>"));
}
