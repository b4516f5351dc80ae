#include <burrow/nn/combinators.hpp>
#include <burrow/nn/convolution.hpp>
#include <burrow/ops/pooling/pooling.hpp>
#include <catch2/catch.hpp>

#include "tests/nn/laws.hpp"

using namespace nn_test;

namespace {

using Double = Float64<Cpu>;
constexpr Window<2> halving{.stride = {2, 2}, .same = true};
constexpr Window<1> causal{.dilation = {2}, .before = {4}};

static_assert(parameter_count<Convolution2d<4, 6, 3>> == 3 * 3 * 4 * 6 + 6);
static_assert(parameter_count<Convolution2d<4, 4, 3, halving, 4>> == 3 * 3 * 4 + 4);
static_assert(parameter_count<Convolution1d<2, 5, 3>> == 3 * 2 * 5 + 5);

struct Network {
  Convolution2d<2, 4, 3, halving> first;
  Convolution2d<4, 4, 3, Window<2>{.same = true}, 4> second;
  auto operator()(const auto& x) const { return mean<1, 2>(max_pool2d<2, 2>(relu(second(relu(first(x)))))); }
};

}  // namespace

TEST_CASE("convolution layers are a convolution and a bias", "[nn]") {
  auto image_layer = build<Convolution2d<2, 3, 3, halving, 1, Double>>(Key{1});
  for (double& b : image_layer.bias.values()) b = 0.5;
  const auto images = normal<Shape<2, 5, 4, 2>, double>(Key{2});
  const Tensor y = image_layer(images);
  CHECK(y.shape() == Shape<2, 3, 2, 3>{});
  CHECK(distance(y, Tensor(convolution2d<halving>(images, image_layer.weight) + 0.5)) <= 1e-15);
  CHECK(gradients_agree(image_layer, images));
  CHECK(names_of(image_layer) == "weight bias ");
  using Sized = Convolution2d<dyn, dyn, dyn, halving, 1, Double>;
  auto sized = build(Sized::sized(2, 3, 3), Key{1});
  for (double& b : sized.bias.values()) b = 0.5;
  CHECK(same_bits(Tensor(sized(images)), y));

  auto row_layer = build<Convolution1d<2, 4, 3, causal, 2, Double>>(Key{3});
  auto rows = normal<Shape<1, 9, 2>, double>(Key{4});
  CHECK(gradients_agree(row_layer, rows));
  const Tensor before = row_layer(rows);
  CHECK(before.shape() == Shape<1, 9, 4>{});
  rows(0, 5, 1) += 1;
  const Tensor after = row_layer(rows);
  for (Index t = 0; t < 9; ++t)
    CHECK((after(0, t, 3) != before(0, t, 3)) == (t == 5 || t == 7));  // taps 2 apart: 5, 7, and 9 beyond
}

TEST_CASE("a convolutional network trains", "[nn]") {
  auto network = build<Network>(Key{5});
  const auto x = normal<Shape<dyn, 8, 8, 2>>(Key{6}, Shape<dyn, 8, 8, 2>{{3, 8, 8, 2}});
  const auto loss = [&](Tape& tape) { return mean(square(network(tape.watch(x)) - 1.0f)); };
  const auto first = value_and_grad(network, loss).first;
  for (int step = 0; step < 100; ++step) {
    const auto gradient = value_and_grad(network, loss).second;
    for (std::size_t i = 0; i < gradient.values().size(); ++i)
      parameters(network).values()[i] -= 0.1f * gradient.values()[i];
  }
  CHECK(value_and_grad(network, loss).first < 0.2f * first);
}
