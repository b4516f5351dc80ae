// Gated feed-forward blocks and learned positions against plain loops.
#include <burrow/nn/positions.hpp>
#include <catch2/catch.hpp>

#include "tests/nn/laws.hpp"

using namespace nn_test;
using Catch::Matchers::Contains;

namespace {

using Double = Float64<Cpu>;

/// down(f(gate(x)) * up(x)) by loops; widths 3 and 5.
template <class Layer, class F>
std::vector<double> reference(const Layer& layer, const auto& x, const F& f) {
  const Index rows = x.size() / 3;
  std::vector<double> y(static_cast<std::size_t>(rows * 3));
  for (Index r = 0; r < rows; ++r)
    for (Index h = 0; h < 5; ++h) {
      double gate = 0, up = 0;
      for (Index i = 0; i < 3; ++i) {
        gate += x.data()[r * 3 + i] * layer.gate.weight.data()[i * 5 + h];
        up += x.data()[r * 3 + i] * layer.up.weight.data()[i * 5 + h];
      }
      for (Index i = 0; i < 3; ++i)
        y[static_cast<std::size_t>(r * 3 + i)] += f(gate) * up * layer.down.weight.data()[h * 3 + i];
    }
  return y;
}

static_assert(parameter_count<SwiGlu<3, 5>> == 3 * 3 * 5);
static_assert(parameter_count<PositionEmbedding<7, 3>> == 21);

}  // namespace

TEST_CASE("gated blocks agree with a plain loop", "[nn]") {
  auto silu_block = build<SwiGlu<3, 5, Double>>(Key{1});
  const auto gelu_block = build(GeGlu<dyn, dyn, Double>::sized(3, 5), Key{2});
  const auto x = normal<Shape<2, 4, 3>, double>(Key{3});
  const auto silu_y = reference(silu_block, x, [](double g) { return g / (1 + std::exp(-g)); });
  const auto gelu_y = reference(gelu_block, x, [](double g) {
    return g / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (g + 0.044715 * g * g * g)));
  });
  CHECK(distance(Tensor(silu_block(x)), Tensor<double, Shape<24>>{Shape<24>{}, silu_y}) <= 1e-12);
  CHECK(distance(Tensor(gelu_block(x)), Tensor<double, Shape<24>>{Shape<24>{}, gelu_y}) <= 1e-12);
  CHECK(names_of(silu_block) == "gate.weight up.weight down.weight ");
  CHECK(gradients_agree(silu_block, x));
}

TEST_CASE("learned positions are added from where a sequence starts", "[nn]") {
  auto positions = build<PositionEmbedding<7, 3, Double>>(Key{4});
  const auto x = normal<Shape<2, 4, 3>, double>(Key{5});
  const Tensor y = positions(x, 3);
  for (Index b = 0; b < 2; ++b)
    for (Index t = 0; t < 4; ++t)
      for (Index c = 0; c < 3; ++c)
        CHECK(y(b, t, c) == x(b, t, c) + positions.table.values()[static_cast<std::size_t>((3 + t) * 3 + c)]);
  CHECK(gradients_agree(positions, x));
  CHECK(names_of(positions) == "table ");
  const auto sized = build(PositionEmbedding<dyn, dyn, Double>::sized(7, 3), Key{4});
  CHECK(same_bits(Tensor(sized(x, 3)), y));
  CHECK_THROWS_WITH(positions(x, 4), Contains("PositionEmbedding: positions 4 to 7 of a table for 7"));
}
