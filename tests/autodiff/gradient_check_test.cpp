#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

TEST_CASE("A correct gradient passes, whatever the shape of the result") {
  const auto x = normal<Shape<3, 4>, double>(Key{1});
  CHECK(gradient_error([](auto& a) { return a * 3; }, x) < 1e-10);
  CHECK(gradient_error([](auto& a) { return sum(a * a); }, x) < 1e-10);
  CHECK(gradient_error([](auto& a) { return sum<0>(exp(a)); }, x) < 1e-10);
  CHECK_NOTHROW(check_gradient([](auto& a) { return exp(a) / 1e3; }, Tensor(x * 3)));
}

TEST_CASE("A wrong gradient is named by argument and element") {
  const Tensor<double, Shape<3>> x{1, 2, 3}, y{1, 1, 5};
  const auto broken = [](auto& a, auto& b) { return a * stop_gradient(b) * b; };
  CHECK(gradient_error(broken, x, y) == Approx(15.0 / 31).epsilon(0.5));
  CHECK_THROWS_AS(check_gradient(broken, x, y), Error);
  CHECK_THROWS_WITH(check_gradient(broken, x, y),
                    Catch::Contains("argument 1 is") && Catch::Contains("differences"));
}

TEST_CASE("One wrong element of many is found") {
  const auto x = normal<Shape<50>, double>(Key{1});
  Tensor<double, Shape<50>> mark = zeros<Shape<50>, double>();
  mark(37) = 1;
  const auto broken = [&](auto& a) { return where(mark > 0, stop_gradient(a), a); };
  CHECK_THROWS_WITH(check_gradient(broken, x), Catch::Contains("element 37 (row-major) of argument 0"));
}

TEST_CASE("Integer arguments are handed through") {
  const auto x = normal<Shape<4>, double>(Key{1});
  const Tensor<std::int32_t, Shape<4>> powers{1, 2, 3, 0};
  CHECK(gradient_error([](auto& a, auto& n) { return a * n + a * a; }, x, powers) < 1e-9);
}
