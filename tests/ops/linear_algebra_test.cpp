#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/linear_algebra/linear_algebra.hpp>
#include <catch2/catch.hpp>

#include "tests/autodiff/second_order.hpp"
#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

/// Far from singular, and not symmetric.
template <class S>
auto square_matrices(int seed, const S& shape = {}) {
  auto a = random<double>(seed, shape);
  const Index n = shape[-1];
  for (Index i = 0; i < a.size(); ++i)
    if (i / n % n == i % n) a.data()[i] += 4;
  return a;
}

const auto definite = [](const auto& x) { return matmul(x, transpose(x)) + eye<Shape<4, 4>, double>(); };

double largest(const auto& x) { return max(abs(x)).item(); }

}  // namespace

TEST_CASE("Solutions, inverses and Cholesky factors give back what they are of") {
  const auto a = square_matrices(1, Shape<dyn, 4, dyn>{{3, 4, 4}});
  const auto b = random<double>(2, Shape<3, dyn, 2>{{3, 4, 2}});
  const auto v = random<double>(3, Shape<3, 4>{});
  static_assert(std::same_as<shape_of<decltype(solve(a, v))>, Shape<3, 4>>);
  CHECK(largest(matmul(a, solve(a, b)) - b) < 1e-12);
  CHECK(largest(sum<-1>(a * expand_dims<-2>(solve(a, v))) - v) < 1e-12);
  CHECK(largest(matmul(inverse(a), a) - eye<Shape<4, 4>, double>()) < 1e-12);

  const auto p = definite(at(a, 0));
  const auto l = cholesky(p);
  CHECK(largest(matmul(l, transpose(l)) - p) < 1e-12);
  CHECK(largest(triu(l, 1)) == 0);
  const auto right = at(b, 1);
  CHECK(largest(matmul(tril(at(a, 1)), solve_lower(at(a, 1), right)) - right) < 1e-12);
  CHECK(largest(matmul(triu(at(a, 1)), solve_upper(at(a, 1), right)) - right) < 1e-12);
  CHECK(largest(solve_upper(transpose(l), solve_lower(l, right)) - solve(p, right)) < 1e-12);
}

TEST_CASE("Determinants are those of Leibniz' formula, and have a logarithm") {
  const Tensor<double, Shape<2, 2, 2>> a{1, 2, 3, 4, 0, 5, 2, 0};
  CHECK(determinant(a)(0) == Approx(-2));
  CHECK(determinant(a)(1) == Approx(-10));
  CHECK(log_determinant(a)(1) == Approx(std::log(10)));
  CHECK(determinant(Tensor<float, Shape<2, 2>>{1, 2, 2, 4}).item() == 0);
  CHECK(determinant(zeros<Shape<0, 0>, double>()).item() == 1);
}

TEST_CASE("Gradients of linear algebra agree with differences") {
  const auto a = square_matrices(4, Shape<2, 3, 3>{});
  const auto dynamic = square_matrices(5, Shape<dyn, dyn>{{3, 3}});
  const auto b = random<double>(6, Shape<2, 3, 2>{});
  const auto v = random<double>(7, Shape<dyn>{{3}});
  check_gradient([](const auto& m, const auto& r) { return solve(m, r); }, a, b);
  check_gradient([](const auto& m, const auto& r) { return solve(m, exp(r)); }, dynamic, v);
  check_gradient([](const auto& m, const auto& r) { return solve_lower(m, r) + solve_upper(m, r); }, a, b);
  check_gradient([](const auto& m) { return inverse(m); }, a);
  check_gradient([](const auto& m) { return determinant(m) + 2 * log_determinant(sin(m) + m); }, a);
  check_gradient([](const auto& m) { return cholesky(m); }, Tensor(matmul(a, transpose(a))));
  check_gradient([](const auto& m) { return cholesky(matmul(m, transpose(m))); }, dynamic);
  const Tensor known = at(a, 0);
  check_gradient([&](const auto& r) { return solve(known, r) + solve_lower(known, r); }, v);
}

TEST_CASE("Second derivatives of linear algebra agree with differences") {
  const auto x = square_matrices(8, Shape<4, 4>{});
  const auto solved = [](const auto& m) { return sum(square(solve(m, at(m, 0)))); };
  const auto factored = [](const auto& m) {
    const auto l = cholesky(matmul(m, transpose(m)));
    return sum(sin(solve_lower(l, at(m, 1)))) + sum(log(diagonal(l)));
  };
  const auto inverted = [](const auto& m) { return sum(square(inverse(m))) + log_determinant(m) * 0.5; };
  const auto volume = [](const auto& m) { return determinant(m * 0.3); };
  CHECK(second_order_error(solved, x) < 1e-8);
  CHECK(second_order_error(factored, x) < 1e-8);
  CHECK(second_order_error(inverted, x) < 1e-8);
  CHECK(second_order_error(volume, x) < 1e-8);
}

TEST_CASE("Matrices that cannot be factored are named") {
  const auto singular = zeros<Shape<2, 2, 2>, double>();
  CHECK_THROWS_WITH(solve(singular, ones<Shape<2, 2>, double>()),
                    Contains("solve: a matrix is singular: number 0 of Shape<2, 2, 2> ["));
  CHECK_THROWS_AS(inverse(singular), ValueError);
  CHECK_THROWS_WITH(cholesky(Tensor<double, Shape<2, 2>>{1, 2, 2, 1}), Contains("not positive definite"));
  const auto wide = zeros<Shape<dyn, dyn>, double>(Shape<dyn, dyn>{{2, 3}});
  CHECK_THROWS_AS(cholesky(wide), ShapeError);
  CHECK_THROWS_WITH(
      solve(square_matrices(9, Shape<dyn, 3>{{3, 3}}), ones<Shape<dyn>, double>(Shape<dyn>{{2}})),
      Contains("a right side of Shape<2, 1> does not fit Shape<3, 3>"));
}

TEST_CASE("trace, outer and kron are sums and products of elements") {
  const auto a = random<double>(10, Shape<2, 3>{});
  const auto b = random<double>(11, Shape<dyn, 2>{{2, 2}});
  CHECK(trace(a).item() == Approx(a(0, 0) + a(1, 1)));
  const auto k = kron(a, b);
  static_assert(std::same_as<shape_of<decltype(k)>, Shape<dyn, 6>>);
  CHECK(k(3, 4) == a(1, 2) * b(1, 0));
  check_gradient([](const auto& x, const auto& y) { return kron(x, y) + trace(x) + trace(y); }, a, b);
  check_gradient([](const auto& x, const auto& y) { return outer(sin(x), y); },
                 random<double>(12, Shape<3>{}), random<double>(13, Shape<2>{}));
}
