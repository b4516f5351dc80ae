// Dropout as a layer, and combinators that hand arguments on: keys, run-time extents, chains that are not
// square.
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/dropout.hpp>
#include <burrow/nn/layers.hpp>
#include <catch2/catch.hpp>

#include "tests/nn/laws.hpp"

using namespace nn_test;
using Catch::Matchers::Contains;

namespace {

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
  model.rematerialize = Rematerialization::every(2);
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
  const Tensor y = chain(x);
  CHECK(y.shape() == Shape<dyn, 2>{{3, 2}});
  const Repeat<Linear<4, 4>, dyn> empty{};
  CHECK_THROWS_WITH(empty(x), Contains("Repeat: no blocks"));
}
