// Gated feed-forward blocks, learned positions, dropout as a layer, and combinators that hand arguments on.
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/dropout.hpp>
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
static_assert(parameter_count<Sequential<Linear<4, 4>, Dropout>> == 20);

struct Dropped {
  Linear<4, 4> linear;
  Dropout dropout{0.5};
  auto operator()(const auto& x, Key key) const { return x + dropout(linear(x), key); }
};

template <class Model, class X>
auto gradient_of(const Model& model, const X& x, Key key) {
  return value_and_grad(model, [&](Tape& tape) { return sum(square(model(tape.watch(x), key) - 0.25f)); });
}

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

TEST_CASE("dropout without a key is nothing, and keys reach the layers that take them", "[nn]") {
  const auto model = build<Sequential<Linear<4, 6>, Dropout, Residual<Dropout>, Linear<6, 2>>>(Key{6});
  const auto x = normal<Shape<3, 4>>(Key{7});
  CHECK(same_bits(Tensor(model(x)), Tensor(model.rest.rest.rest.last(model.first(x) * 2.0f))));
  const auto h = dropout(model.first(x), Key{8}.fold_in(1).fold_in(0), 0.1);
  const auto r = h + dropout(h, Key{8}.fold_in(1).fold_in(1).fold_in(0), 0.1);
  CHECK(same_bits(Tensor(model(x, Key{8})), Tensor(model.rest.rest.rest.last(r))));
}

TEST_CASE("blocks draw different numbers, and the same ones again when rematerialised", "[nn]") {
  auto model = build<Repeat<Dropped, 3>>(Key{9});
  const auto x = normal<Shape<5, 4>>(Key{10});
  auto h = x;
  for (std::size_t i = 0; i < 3; ++i) h = Tensor(model.blocks[i](h, Key{11}.fold_in(i)));
  CHECK(same_bits(Tensor(model(x, Key{11})), h));
  const auto kept = gradient_of(model, x, Key{11});
  model.rematerialize = true;
  const auto again = gradient_of(model, x, Key{11});
  CHECK(kept.first == again.first);
  CHECK(same_bits(kept.second.values(), again.second.values()));
}

TEST_CASE("combinators take run-time extents and chains that are not square", "[nn]") {
  using Any = Shape<dyn, dyn>;
  const auto x = normal<Any>(Key{12}, Any{{3, 4}});
  const auto repeat = build<Repeat<Residual<SwiGlu<4, 6>>, 2>>(Key{13});
  const Tensor<float, Shape<3, 4>> fixed{Shape<3, 4>{}, x.values()};
  CHECK(same_bits(Tensor(repeat(x)), Tensor(repeat(fixed))));
  static_assert(std::same_as<shape_of<decltype(repeat(x))>, Shape<dyn, 4>>);
  const auto chain = build<Sequential<Linear<4, 6>, Remat<Linear<6, 3>>, Linear<3, 2>>>(Key{14});
  static_assert(std::same_as<shape_of<decltype(chain(x))>, Shape<dyn, 2>>);
  CHECK(same_bits(Tensor(chain(x)), Tensor(chain(fixed))));
  const Repeat<Linear<4, 4>, dyn> empty{};
  CHECK_THROWS_WITH(empty(x), Contains("Repeat: no blocks"));
}
