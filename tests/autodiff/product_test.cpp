#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {
constexpr double tolerance = 1e-9;
}

TEST_CASE("Gradients of products, with zeros among the elements") {
  auto x = normal<Shape<4, 3, 5>, double>(Key{3});
  const auto check = [&] {
    CHECK(gradient_error([](auto& a) { return prod(a); }, x) < tolerance);
    CHECK(gradient_error([](auto& a) { return prod<1>(a * 2); }, x) < tolerance);
    CHECK(gradient_error([](auto& a) { return prod<0, -1>(transpose<0, 1>(a), keep_axes); }, x) < tolerance);
  };
  check();
  x(1, 0, 2) = 0;
  check();
  x(1, 2, 2) = 0;
  x(3, 0, 4) = 0;
  check();
}

TEST_CASE("Truths and counts of traced values carry the tape, without a gradient") {
  Tape tape;
  const auto x = tape.watch(Tensor<double, Shape<3>>{-1, 0, 3});
  static_assert(Traced<decltype(any(x > 0))>);
  CHECK(any(x > 2).item());
  CHECK(!all(x).item());
  CHECK(count_nonzero(x).item() == 2);
  tape.backward(sum(where(any<0>(x > 2, keep_axes), x * x, x)));
  CHECK(tape.gradient(x)(2) == 6);
}
