// Where no gradient flows, and where it flows through recomputation.
#include <burrow/autodiff/transform.hpp>
#include <burrow/nn/module.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {

template <class A, class B>
double distance(const A& a, const B& b) {
  return max(abs(a - b)).item();
}

const auto x3 = [] { return Tensor<double, Shape<3>>{1, 2, 3}; };

struct Scale {
  Parameter<double, Shape<3>> factor{init::normal(1)};
  auto operator()(const auto& x) const { return x * factor; }
};

}  // namespace

TEST_CASE("stop_gradient stops it on a leaf, an expression, a view, a result and a condition") {
  const auto x = x3();
  const auto leaf = [](const auto& a) { return sum(a * stop_gradient(a)); };
  const auto inner = [](const auto& a) { return sum(exp(stop_gradient(a * 2)) * a); };
  const auto whole = [](const auto& a) { return sum(stop_gradient(exp(a)) + 0 * a); };
  const auto view = [](const auto& a) { return sum(stop_gradient(at(a, 1)) * a); };
  const auto result = [](const auto& a) { return stop_gradient(sum(a * a)) * sum(a); };
  const auto branch = [](const auto& a) { return sum(where(stop_gradient(a) > 1.5, stop_gradient(a), a)); };
  CHECK(distance(grad(leaf)(x), x) == 0);
  CHECK(distance(grad(inner)(x), exp(x * 2)) < 1e-12);
  CHECK(distance(grad(whole)(x), x * 0) == 0);
  CHECK(distance(grad(view)(x), full<Shape<3>, double>(2)) == 0);
  CHECK(distance(grad(result)(x), full<Shape<3>, double>(14)) == 0);
  CHECK(distance(grad(branch)(x), Tensor<double, Shape<3>>{1, 0, 0}) == 0);
}

TEST_CASE("stop_gradient freezes a parameter in one place and not in another") {
  const auto model = build<Scale>(Key{1});
  const auto frozen = value_and_grad(
      model, [&](Tape& tape) { return sum(tape.watch(x3()) * stop_gradient(model.factor) * model.factor); });
  for (Index i = 0; i < 3; ++i)
    CHECK(frozen.second.of(model.factor)[static_cast<std::size_t>(i)] == x3()(i) * model.factor.data()[i]);
}

TEST_CASE(
    "A checkpoint hands the gradient to each of several traced arguments, and to none that is constant") {
  const auto f = [](const auto& a, const auto& b, const auto& n, double power) {
    return exp(a * 0.1) * sin(b) * n + a * power;
  };
  const Tensor<std::int32_t, Shape<3>> n{3, 1, 2};
  const auto direct = [&](const auto& a, const auto& b) { return sum(f(a * 2, b, n, 0.5)); };
  const auto remade = [&](const auto& a, const auto& b) { return sum(checkpoint(f, a * 2, b, n, 0.5)); };
  const auto expected = value_and_grad(direct, x3(), x3() + 1);
  const auto found = value_and_grad(remade, x3(), x3() + 1);
  CHECK(found.first == expected.first);
  CHECK(distance(std::get<0>(found.second), std::get<0>(expected.second)) == 0);
  CHECK(distance(std::get<1>(found.second), std::get<1>(expected.second)) == 0);
  const auto second_only = [&](const auto& b) { return sum(checkpoint(f, x3() * 2, b, n, 0.5)); };
  CHECK(distance(grad(second_only)(x3() + 1), std::get<1>(expected.second)) == 0);
  CHECK(distance(checkpoint(f, x3(), x3(), n, 0.5), f(x3(), x3(), n, 0.5)) == 0);
}

TEST_CASE("A checkpoint of constants and of parameters that are not differentiated records nothing") {
  const auto model = build<Scale>(Key{1});
  Tape tape{Tape::Inputs::constant};
  const auto x = tape.watch(x3());
  const auto y = checkpoint(model, x);
  CHECK(tape.size() == 0);
  CHECK(distance(y.value(), model(x3())) == 0);
}
