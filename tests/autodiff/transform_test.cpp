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

struct Scale {
  Parameter<double, Shape<3>> factor{init::normal(1)};
  auto operator()(const auto& x) const { return x * factor; }
};

const auto x3 = [] { return Tensor<double, Shape<3>>{1, 2, 3}; };

}  // namespace

TEST_CASE("value_and_grad gives the value and the gradient of every argument") {
  const auto cube = [](const auto& x) { return sum(x * x * x); };
  const auto [value, gradient] = value_and_grad(cube, x3());
  CHECK(value == 36);
  CHECK(distance(gradient, 3 * x3() * x3()) == 0);
  CHECK(distance(grad(cube)(x3()), gradient) == 0);
  CHECK(distance(grad(cube)(x3() * 2), 4 * gradient) == 0);

  const Tensor<std::int32_t, Shape<3>> n{1, 0, 2};
  const auto mixed = [](const auto& a, const auto& k, const auto& b) { return sum(a * k) * sum(b) + 1; };
  const auto [total, gradients] = value_and_grad(mixed, x3(), n, ones<Shape<2>, float>());
  static_assert(std::tuple_size_v<std::remove_cvref_t<decltype(gradients)>> == 2);
  CHECK(total == 15);
  CHECK(distance(std::get<0>(gradients), 2 * n) == 0);
  CHECK(distance(std::get<1>(gradients), full<Shape<2>>(7.0f)) == 0);
}

TEST_CASE("A model is a function of its input, and its parameters are constants there") {
  const auto model = build<Scale>(Key{1});
  CHECK(distance(grad([&](const auto& x) { return sum(model(x)); })(x3()), model.factor) == 0);
  const auto [y, pull_back] = vjp(model, x3());
  CHECK(distance(y, model(x3())) == 0);
  CHECK(distance(pull_back(x3()), x3() * model.factor) == 0);
}

TEST_CASE("A pull-back maps any number of seeds, without a trace of the earlier ones") {
  const auto f = [](const auto& a, const auto& b) { return materialize(a * a) * b; };
  const auto [y, pull_back] = vjp(f, x3(), x3() + 1);
  CHECK(distance(y, x3() * x3() * (x3() + 1)) == 0);
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto seed = x3() - repeat;
    const auto [da, db] = pull_back(seed);
    CHECK(distance(da, 2 * x3() * (x3() + 1) * seed) == 0);
    CHECK(distance(db, x3() * x3() * seed) == 0);
  }
  const auto copy = pull_back;
  CHECK(distance(std::get<1>(copy(x3())), x3() * x3() * x3()) == 0);
}

TEST_CASE("A seed of another shape is refused") {
  const Tensor<double, Shape<dyn>> x = x3();
  const auto [y, pull_back] = vjp([](const auto& a) { return exp(a); }, x);
  static_assert(!std::is_invocable_v<decltype(pull_back), Tensor<double, Shape<2, 3>>>);
  const Tensor<double, Shape<dyn>> seed = ones<Shape<4>, double>();
  const auto pull = pull_back;
  CHECK_THROWS_WITH(pull(seed, {"user.cpp", 3}), "backward: a seed of Shape<4> for Shape<3> [user.cpp:3]");
}

TEST_CASE("The Jacobian has a row for each result and a column for each argument") {
  const auto f = [](const auto& x) { return reshape<Shape<2, 2>>(materialize(slice<0, 4>(x, 0) * sum(x))); };
  const auto x = normal<Shape<5>, double>(Key{1});
  const auto j = jacobian(f, x);
  static_assert(std::same_as<shape_of<decltype(j)>, Shape<2, 2, 5>>);
  const double total = sum(x).item();
  for (Index r = 0; r < 4; ++r)
    for (Index c = 0; c < 5; ++c)
      CHECK(j(r / 2, r % 2, c) == Approx(x(r) + (r == c ? total : 0)).epsilon(1e-12));

  const Tensor<float, Shape<dyn>> open = arange<Shape<3>>();
  const auto of_scalar = jacobian([](const auto& v) { return sum(v * v); }, open);
  CHECK(of_scalar.shape() == Shape<dyn>{{3}});
  CHECK(distance(of_scalar, 2 * open) == 0);
  const Tensor<float, Shape<dyn>> nothing{Shape<dyn>{{0}}};
  CHECK(jacobian([](const auto& v) { return v * v; }, nothing).size() == 0);
}

TEST_CASE("Several losses from one tape: each sweep gives its own gradients") {
  Tape tape;
  const auto x = tape.watch(x3());
  const auto hidden = materialize(x * x);
  const auto first = sum(hidden), second = sum(hidden * x);
  tape.backward(first, keep_record);
  CHECK(distance(tape.gradient(x), 2 * x3()) == 0);
  tape.backward(second, keep_record);
  CHECK(distance(tape.gradient(x), 3 * x3() * x3()) == 0);
  tape.backward(first + second, keep_record);
  CHECK(distance(tape.gradient(x), 2 * x3() + 3 * x3() * x3()) == 0);
  tape.backward(hidden, x3(), keep_record);
  CHECK(distance(tape.gradient(x), 2 * x3() * x3()) == 0);
  const auto later = sum(exp(hidden) * 0 + hidden);
  tape.backward(later);
  CHECK(distance(tape.gradient(x), 2 * x3()) == 0);
  CHECK(tape.size() == 0);
  CHECK_THROWS_WITH(tape.backward(first), Catch::StartsWith("backward: this tape has been swept already"));
}

TEST_CASE("A kept record survives an error in the middle of a sweep") {
  Tape tape;
  const auto x = tape.watch(x3());
  bool fail = true;
  const auto y = record(
      tape_of(x), "failing", Tensor(x3() * 2),
      [&fail, x](const auto& dy) {
        if (fail) throw Error("no gradient");
        add_gradient(x, dy * 2);
      },
      x);
  const auto loss = sum(y * x);
  CHECK_THROWS_WITH(tape.backward(loss, keep_record), "no gradient");
  fail = false;
  tape.backward(loss, keep_record);
  CHECK(distance(tape.gradient(x), 4 * x3()) == 0);
}

TEST_CASE("Gradients of parameters add up over the sweeps of one tape") {
  const auto model = build<Scale>(Key{1});
  std::vector<double> gradient(3);
  Tape tape{Tape::Inputs::constant};
  tape.differentiate(parameters(model).store(), gradient.data());
  const auto y = sum(model(tape.watch(x3())));
  tape.backward(y, keep_record);
  CHECK(gradient == std::vector<double>{1, 2, 3});
  tape.backward(y);
  CHECK(gradient == std::vector<double>{2, 4, 6});
}
