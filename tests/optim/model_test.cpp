#include <burrow/nn/layers.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/sgd.hpp>
#include <catch2/catch.hpp>
#include <cmath>

namespace {

using burrow::Adam;
using burrow::Bf16;
using burrow::build;
using burrow::Gradient;
using burrow::Key;
using burrow::Linear;
using burrow::parameters;
using burrow::Sgd;

template <class Policy>
struct TwoLayers {
  Linear<3, 4, Policy> up;
  Linear<4, 2, Policy> down;
};

}  // namespace

TEMPLATE_TEST_CASE("an optimizer steps all parameters of a model", "[optim]", burrow::Float32<>,
                   burrow::Bf16<>) {
  auto model = build<TwoLayers<TestType>>(Key{1});
  auto optimizer = Adam{model, {.learning_rate = 0.25}};
  Gradient gradient{model};
  for (auto& value : gradient.values()) value = 1;
  std::vector<float> before(parameters(model).values().begin(), parameters(model).values().end());
  REQUIRE(before.size() == 3 * 4 + 4 + 4 * 2 + 2);
  optimizer.step(model, gradient);
  optimizer.step(model, gradient, {.learning_rate = 0, .gradient_factor = 0.5});
  for (std::size_t i = 0; i < before.size(); ++i)
    REQUIRE(std::abs(static_cast<float>(parameters(model).values()[i]) - (before[i] - 0.25f)) < 0.005f);
  REQUIRE(optimizer.state().steps == 2);

  double rate = 0;
  const burrow::UpdateOptions later{.learning_rate = burrow::live(rate)};
  rate = 0.25;
  std::vector<float> unlike(parameters(model).values().begin(), parameters(model).values().end());
  optimizer.step(model, gradient, later);
  for (std::size_t i = 0; i < before.size(); ++i)
    REQUIRE(static_cast<float>(parameters(model).values()[i]) < unlike[i] - 0.1f);

  auto descent = Sgd{model};
  descent.step(model, gradient);
  REQUIRE(descent.state().steps == 1);
}
