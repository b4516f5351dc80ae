
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/print.hpp>
#include <catch2/catch.hpp>
#include <sstream>

using namespace burrow;

namespace {

/// Two parameters in one flat store, as `build` places them, with their flat gradient.
struct Model {
  std::shared_ptr<detail::ParameterStore> store = std::make_shared<detail::ParameterStore>();
  Parameter<double, Shape<3, 2>> weight;
  Parameter<double, Shape<dyn>> bias{Shape<dyn>{{2}}};
  std::vector<double> gradient = std::vector<double>(8);

  Model() {
    store->storage = Buffer<Cpu>{8 * Index{sizeof(double)}};
    store->size = 8;
    weight.place(store, 0);
    bias.place(store, 6);
    for (Index i = 0; i < 6; ++i) weight.data()[i] = 0.5 * static_cast<double>(i);
    for (double& b : bias.values()) b = 1;
  }
};

}  // namespace

TEST_CASE("Gradients of parameters are added to the flat gradient") {
  Model model;
  const Tensor<double, Shape<3, 2>> x0{1, 2, 3, 4, 5, 6};
  for (const double times : {1.0, 2.0}) {
    Tape tape{Tape::Inputs::constant};
    tape.differentiate(*model.store, model.gradient.data());
    const auto x = tape.watch(x0);
    const auto y = x * model.weight + model.bias;
    static_assert(Traced<decltype(y)>);
    CHECK(sum(y).item() == Approx(sum(x0 * Tensor<double, Shape<3, 2>>{0, 0.5, 1, 1.5, 2, 2.5}).item() + 6));
    tape.backward(sum(y * y) / 2);
    const Tensor<double, Shape<3, 2>> expected =
        x0 * (x0 * Tensor<double, Shape<3, 2>>{0, 0.5, 1, 1.5, 2, 2.5} + 1);
    for (std::size_t i = 0; i < 6; ++i) CHECK(model.gradient[i] == Approx(times * expected.data()[i]));
    CHECK(model.gradient[6] ==
          Approx(times * (expected(0, 0) / 1 + expected(1, 0) / 3 + expected(2, 0) / 5)));
    CHECK(model.gradient[7] ==
          Approx(times * (expected(0, 1) / 2 + expected(1, 1) / 4 + expected(2, 1) / 6)));
  }
}

TEST_CASE("Views of parameters lead their gradients to the right place") {
  Model model;
  Tape tape{Tape::Inputs::constant};
  tape.differentiate(*model.store, model.gradient.data());
  const auto x = tape.watch(Tensor<double, Shape<3>>{1, 2, 3});
  tape.backward(sum(x * at<1>(model.weight, 1)) + sum(at(x, 0) * slice<0>(transpose(model.weight), 0, 1)) +
                sum(at(x, 2) * reshape<Shape<2>>(model.bias)));
  CHECK(model.gradient == std::vector<double>{1, 1, 1, 2, 1, 3, 3, 3});
}

TEST_CASE("A store that is not differentiated gets no gradient") {
  Model model;
  Tape tape;
  const auto x = tape.watch(ones<Shape<3, 2>, double>());
  tape.backward(sum(x * model.weight + model.bias));
  CHECK(tape.gradient(x)(2, 1) == 2.5);
  CHECK(model.gradient == std::vector<double>(8));
}

TEST_CASE("A parameter that meets no trace while gradients are recorded is an error") {
  Model model;
  const auto x = ones<Shape<3, 2>, double>();
  const auto message =
      Catch::StartsWith("a parameter of Shape<3, 2> meets no traced operand while gradients are");
  CHECK(sum(x * model.weight).item() == 7.5);
  {
    Tape tape;
    tape.differentiate(*model.store, model.gradient.data());
    const auto traced = tape.watch(x);
    CHECK_THROWS_WITH(Tensor(x * model.weight), message);
    CHECK_THROWS_WITH(materialize(model.weight), message);
    CHECK_THROWS_WITH(sum(x * model.weight), message);
    CHECK_THROWS_WITH(max<0>(exp(model.weight)), message);
    CHECK_NOTHROW(Tensor(x * stop_gradient(model.weight)));
    CHECK_NOTHROW(materialize(traced * model.weight));
    CHECK_NOTHROW(materialize(beside(traced, x) * model.weight));
    std::ostringstream out;
    CHECK_NOTHROW(out << model.weight);
  }
  CHECK_NOTHROW(Tensor(x * model.weight));
}

TEST_CASE("A parameter without elements says how to get them") {
  const Parameter<float, Shape<2>> weight;
  CHECK_THROWS_WITH(materialize(weight * 2),
                    "parameter of Shape<2> has no elements yet; make the model with build<Model>(key)");
}

TEST_CASE("Initialisers give an element from the key and its index") {
  const Key key{5};
  CHECK(init::zeros(key, 3) == 0);
  CHECK(init::ones(key, 3) == 1);
  CHECK(init::normal(0.02f)(key, 3) == 0.02f * key.normal(3));
  for (Index i = 0; i < 1000; ++i) {
    const float u = init::uniform(0.5f)(key, i);
    CHECK((u >= -0.5f && u < 0.5f));
  }
}

TEST_CASE("Gradients of bf16 parameters are kept in float") {
  const auto store = std::make_shared<detail::ParameterStore>();
  store->storage = Buffer<Cpu>{5 * Index{sizeof(bf16)}};
  store->size = 5;
  Parameter<bf16, Shape<3>> scale;
  scale.place(store, 2);
  for (Index i = 0; i < 3; ++i) scale.data()[i] = bf16{0.5f};
  std::vector<float> gradient(5, 1);
  Tape tape{Tape::Inputs::constant};
  tape.differentiate(*store, gradient.data());
  const auto x = tape.watch(Tensor<bf16, Shape<3>>{1, 2, 3});
  tape.backward(sum(x * scale * scale));
  CHECK(gradient == std::vector<float>{1, 1, 2, 3, 4});
}
