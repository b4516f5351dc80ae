#include <burrow/autodiff/forward.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/print.hpp>
#include <catch2/catch.hpp>
#include <sstream>

#include "tests/threads.hpp"

using namespace burrow;

namespace {

template <class A, class B>
double distance(const A& a, const B& b) {
  return max(abs(a - b)).item();
}

const auto x3 = [] { return Tensor<double, Shape<3>>{0.5, 2, 3}; };
const auto v3 = [] { return Tensor<double, Shape<3>>{1, -1, 0.5}; };

}  // namespace

TEST_CASE("dual puts values and tangents together, primal_of and tangent_of take them apart") {
  const auto z = dual(x3() * 2, v3());
  static_assert(std::same_as<element_of<decltype(z)>, DualNumber<double>>);
  CHECK(distance(primal_of(z), x3() * 2) == 0);
  CHECK(distance(tangent_of(z * z), 4 * x3() * v3()) == 0);
  const Tensor<double, Shape<dyn>> longer = ones<Shape<4>, double>();
  const Tensor<double, Shape<dyn>> open = x3();
  CHECK_THROWS_WITH(dual(open, longer, {"user.cpp", 2}),
                    "dual: tangents Shape<4> do not fit Shape<3> [user.cpp:2]");
  std::ostringstream out;
  out << dual(Tensor<double, Shape<2>>{1, 2}, Tensor<double, Shape<2>>{0.5, -10});
  CHECK(out.str() == "[(1, 0.5), (2, -10)]");
}

TEST_CASE("jvp gives the value and the derivative along a direction, beside plain operands of any type") {
  const Tensor<float, Shape<2, 1>> factor{2, 3};
  const Tensor<std::int32_t, Shape<3>> n{1, 2, 3};
  const auto f = [&](const auto& x) { return exp(x) * factor + x * n; };
  const auto [value, tangent] = jvp(f, x3(), v3());
  CHECK(distance(value, exp(x3()) * factor + x3() * n) < 1e-12);
  CHECK(distance(tangent, (exp(x3()) * factor + n) * v3()) < 1e-12);

  const auto product = [](const auto& a, const auto& b) { return a / b; };
  const auto [quotient, change] =
      jvp(product, std::tuple{x3(), x3()}, std::tuple{v3(), zeros<Shape<3>, double>()});
  CHECK(distance(quotient, ones<Shape<3>, double>()) == 0);
  CHECK(distance(change, v3() / x3()) < 1e-15);
}

TEST_CASE("Forward mode goes through float, views, conditions and reductions") {
  const auto x = normal<Shape<4, 3>>(Key{1}), v = normal<Shape<4, 3>>(Key{2});
  const auto f = [](const auto& a) {
    const auto t = transpose(a);
    return sum<0>(where(t > 0, t * t, relu(t) + 0.5f)) + max<1>(a) - mean(cast<element_of<decltype(a)>>(a)) +
           silu(at(t, 2));
  };
  const auto [value, tangent] = jvp(f, x, v);
  static_assert(std::same_as<element_of<decltype(tangent)>, float>);
  const auto step = 1e-2f;
  CHECK(distance(tangent, (f(x + step * v) - f(x - step * v)) / (2 * step)) < 2e-2f);
  CHECK(distance(value, f(x)) < 1e-5f);
}

TEST_CASE("Forward and reverse Jacobians agree") {
  const auto f = [](const auto& x) {
    return reshape<Shape<2, 2>>(materialize(slice<0, 4>(sin(x), 0) * sum(x)));
  };
  const auto x = normal<Shape<5>, double>(Key{1});
  static_assert(std::same_as<shape_of<decltype(forward_jacobian(f, x))>, Shape<2, 2, 5>>);
  CHECK(distance(forward_jacobian(f, x), jacobian(f, x)) < 1e-14);
  const auto square_all = [](const auto& v) { return v * v; };
  const Tensor<double, Shape<dyn>> open = x3(), nothing{Shape<dyn>{{0}}};
  CHECK(distance(forward_jacobian(square_all, open), jacobian(square_all, open)) == 0);
  CHECK(forward_jacobian(square_all, nothing).size() == 0);
}

TEST_CASE("The Hessian is that of the formula, and symmetric") {
  const auto f = [](const auto& x) { return sum(x * x * x) * sum(x); };
  const auto x = x3();
  const auto h = hessian(f, x);
  static_assert(std::same_as<shape_of<decltype(h)>, Shape<3, 3>>);
  const double total = sum(x).item();
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 3; ++j)
      CHECK(h(i, j) == Approx(3 * x(i) * x(i) + 3 * x(j) * x(j) + (i == j ? 6 * x(i) * total : 0)));
  const auto [ha, hb] = hvp([](const auto& a, const auto& b) { return sum(a * a * b); }, std::tuple{x, x},
                            std::tuple{v3(), zeros<Shape<3>, double>()});
  CHECK(distance(ha, 2 * x * v3()) == 0);
  CHECK(distance(hb, 2 * x * v3()) == 0);
}

TEST_CASE("Forward mode gives the same bits for every number of threads") {
  const Threads scope{1};
  const auto x = normal<Shape<301, 503>, double>(Key{5}), v = normal<Shape<301, 503>, double>(Key{6});
  const auto f = [](const auto& a) { return sum(exp(a) * mean<0>(a)); };
  const auto first = hvp(f, x, v);
  for (const int count : {2, 3}) {
    set_threads(count);
    CHECK(distance(hvp(f, x, v), first) == 0);
  }
}
