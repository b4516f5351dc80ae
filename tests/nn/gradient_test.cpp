// Gradients of parts of a model, of a model's elements twice, and copies of models.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/clone.hpp>
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/curvature.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/nn/selection.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {

struct Network {
  Embedding<7, 4> embedding;
  Repeat<Residual<Mlp<4, 6>>, 2> blocks;
  Linear<4, 3> head;
  auto operator()(const auto& ids) const { return head(tanh(blocks(embedding(ids)))); }
};

const auto ids = [] { return Tensor<std::int32_t, Shape<5>>{1, 2, 3, 1, 6}; };

const auto loss_of = [](const auto& model) {
  return [&model](Tape& tape) { return sum(square(model(tape.watch(ids())))); };
};

template <class P, class Gradient, class Whole>
bool same_for(const P& parameter, const Gradient& gradient, const Whole& whole) {
  return std::ranges::equal(gradient.of(parameter), whole.of(parameter));
}
template <class P, class Gradient>
bool zero_for(const P& parameter, const Gradient& gradient) {
  return std::ranges::all_of(gradient.of(parameter), [](float g) { return g == 0; });
}

}  // namespace

TEST_CASE("wrt gives the gradient of the chosen modules and parameters alone", "[nn]") {
  const auto model = build<Network>(Key{1});
  const auto [loss, whole] = value_and_grad(model, loss_of(model));
  const auto& second = model.blocks.blocks[1].inner;
  const auto [same_loss, part] = value_and_grad(wrt(second.down, model.head.bias), loss_of(model));
  CHECK(same_loss == loss);
  CHECK(part.values().size() == whole.values().size());
  CHECK(same_for(second.down.weight, part, whole));
  CHECK(same_for(second.down.bias, part, whole));
  CHECK(same_for(model.head.bias, part, whole));
  CHECK(zero_for(model.head.weight, part));
  CHECK(zero_for(second.up.weight, part));
  CHECK(zero_for(model.embedding.table, part));
  CHECK(part.ranges().size() == 2);
  CHECK(wrt(model).ranges().size() == 1);
  CHECK(wrt(model.head, model.blocks, model.head).ranges().size() == 1);
}

TEST_CASE("What only frozen parameters and constants lead to is not recorded", "[nn]") {
  auto model = build<Network>(Key{1});
  for (const auto choice :
       {Rematerialization::none(), Rematerialization::selective(), Rematerialization::block()}) {
    model.blocks.rematerialize = choice;
    std::size_t before_head = 1, in_head = 0, untraced = 1;
    const auto [loss, gradient] = value_and_grad(wrt(model.head), [&](Tape& tape) {
      const auto hidden = materialize(tanh(model.blocks(model.embedding(tape.watch(ids())))));
      before_head = tape.size();
      const auto y = materialize(model.head(hidden));
      in_head = tape.size();
      untraced = static_cast<std::size_t>(materialize(square(model.embedding.table)).size());
      return sum(square(y));
    });
    CHECK(before_head == 0);
    CHECK(in_head == 1);
    CHECK(untraced == 28);
    const auto whole = value_and_grad(model, loss_of(model)).second;
    CHECK(same_for(model.head.weight, gradient, whole));
  }
}

TEST_CASE("Rematerialised blocks give the chosen parameters their gradient", "[nn]") {
  auto model = build<Network>(Key{1});
  const auto whole = value_and_grad(model, loss_of(model)).second;
  model.blocks.rematerialize = Rematerialization::block();
  const auto& first = model.blocks.blocks[0].inner;
  const auto part = value_and_grad(wrt(first.up), loss_of(model)).second;
  CHECK(same_for(first.up.weight, part, whole));
  CHECK(zero_for(first.down.weight, part));
}

TEST_CASE("An optimizer leaves alone what the gradient was not asked for", "[nn]") {
  auto model = build<Network>(Key{1});
  auto optimizer = Adam{model, {.learning_rate = 0.1, .weight_decay = 0.5}};
  optimizer.step(model, value_and_grad(model, loss_of(model)).second);  // moments everywhere
  const auto before = clone(model);
  const auto state = optimizer.state();
  const std::vector<float> moments(state.values[0].values.begin(), state.values[0].values.end());
  optimizer.step(model, value_and_grad(wrt(model.head), loss_of(model)).second);
  const auto now = parameters(model).values(), then = parameters(before).values();
  const auto head = static_cast<std::size_t>(model.head.weight.offset());
  CHECK(head == now.size() - 15);
  for (std::size_t i = 0; i < now.size(); ++i) {
    CHECK((now[i] == then[i]) == (i < head));
    CHECK((state.values[0].values[i] == moments[i]) == (i < head));
  }
}

TEST_CASE("wrt refuses what has no elements and modules of two models", "[nn]") {
  const auto model = build<Network>(Key{1}), other = build<Network>(Key{1});
  CHECK_THROWS_WITH(wrt(Linear<2, 2>{}),
                    "wrt: 'weight' has no elements yet; make the model with build<Model>(key)");
  CHECK_THROWS_WITH(wrt(model.head, other.head),
                    "wrt: 'weight' belongs to another model than the parameters before it");
}

TEST_CASE("A parameter that is not frozen still has to meet a trace", "[nn]") {
  const auto model = build<Network>(Key{1});
  CHECK_THROWS_WITH(value_and_grad(wrt(model.head),
                                   [&](Tape& tape) {
                                     const auto decay = sum(square(model.head.bias));
                                     return sum(model(tape.watch(ids()))) + decay;
                                   }),
                    Catch::StartsWith("a parameter of Shape<3> meets no traced operand"));
}

TEST_CASE("A clone has the same values in a storage of its own", "[nn]") {
  auto model = build<Network>(Key{3});
  model.blocks.rematerialize = Rematerialization::block();
  auto copy = clone(model);
  CHECK(copy.blocks.rematerialize == Rematerialization::block());
  CHECK(std::ranges::equal(parameters(model).values(), parameters(copy).values()));
  copy.head.bias.values()[0] = 5;
  CHECK(model.head.bias.values()[0] == 0);
  const auto part = clone(model.blocks.blocks[1]);
  CHECK(parameters(part).values().size() == static_cast<std::size_t>(count_parameters(part)));
  CHECK(std::ranges::equal(part.inner.up.weight.values(), model.blocks.blocks[1].inner.up.weight.values()));

  struct Open {
    std::vector<Linear<dyn, 2>> layers;
    int number = 0;
  };
  Open open;
  open.layers.push_back(Linear<dyn, 2>::sized(3, 2));
  open.layers.push_back(Linear<dyn, 2>::sized(4, 2));
  open.number = 7;
  const auto built = build(std::move(open), Key{4});
  const auto again = clone(built);
  CHECK(again.number == 7);
  CHECK(again.layers[1].weight.shape() == built.layers[1].weight.shape());
  CHECK(std::ranges::equal(parameters(again).values(), parameters(built).values()));
  CHECK_THROWS_WITH(
      clone(Linear<2, 2>{}),
      Catch::StartsWith("parameters: 'weight' has no elements yet; make the model with build<Model>(key) ["));
}

TEST_CASE("A model of dual numbers gives Hessian-vector products with respect to its parameters", "[nn]") {
  auto model = build<Mlp<3, 4, Float64<Cpu>>>(Key{5});
  const auto dual_model = build<Mlp<3, 4, DualPolicy<>>>(Key{5});
  const auto values = parameters(model).values();
  std::ranges::copy(values, parameters(dual_model).values().begin());
  const auto x = normal<Shape<5, 3>, double>(Key{6});
  const auto loss = [&](const auto& m) { return [&](Tape& tape) { return mean(square(m(tape.watch(x)))); }; };
  std::vector<double> direction(values.size());
  for (std::size_t i = 0; i < direction.size(); ++i) direction[i] = Key{7}.normal(i);
  const auto product = hvp(dual_model, loss(dual_model), direction);

  const std::vector<double> at(values.begin(), values.end());
  const auto gradient = [&](double step) {
    for (std::size_t i = 0; i < at.size(); ++i) values[i] = at[i] + step * direction[i];
    return value_and_grad(model, loss(model)).second;
  };
  const double h = 1e-3;
  const auto above = gradient(h), below = gradient(-h), far_above = gradient(2 * h),
             far_below = gradient(-2 * h);
  for (std::size_t i = 0; i < at.size(); ++i) {
    const double difference =
        (8 * (above.values()[i] - below.values()[i]) - (far_above.values()[i] - far_below.values()[i])) /
        (12 * h);
    CHECK(product(static_cast<Index>(i)) == Approx(difference).epsilon(1e-7).margin(1e-9));
  }
  CHECK(std::ranges::all_of(parameters(dual_model).values(), [](auto p) { return p.tangent == 0; }));
  CHECK_THROWS_WITH(hvp(dual_model, loss(dual_model), std::vector<double>(3), {"user.cpp", 9}),
                    "hvp: a direction of 3 elements for 31 parameters [user.cpp:9]");
}
