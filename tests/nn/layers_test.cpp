// Layers and combinators: what they compute, that they rematerialise exactly, and that attention decodes.
#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/attention.hpp>
#include <burrow/nn/combinators.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/worse.hpp"

namespace {

using namespace burrow;
using Catch::Matchers::Contains;

using Hidden = Mlp<6, 10>;
using Attention = RelativeAttention<6, 3, 4>;

template <class T, class S, class S2>
double distance(const Tensor<T, S>& a, const Tensor<T, S2>& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (Index i = 0; i < a.size(); ++i)
    worst = worse(worst, std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
  return worst;
}

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(*a.data())) == 0;
}

template <class Model, class X>
auto gradient_of(const Model& model, const X& x) {
  // Materialised, so that the order of the sum does not depend on what is fused into it.
  return value_and_grad(model,
                        [&](Tape& tape) { return sum(square(materialize(model(tape.watch(x))) - 0.25f)); });
}

template <class Model>
std::string names_of(const Model& model) {
  std::string names;
  for_each_parameter(model, [&](const std::string& name, const auto&) { names += name + ' '; });
  return names;
}

static_assert(parameter_count<Repeat<Hidden, 3>> == 3 * parameter_count<Hidden>);
static_assert(parameter_count<Residual<Hidden>> == parameter_count<Hidden>);
static_assert(parameter_count<Attention> == 4 * 6 * 12 + 2 * 12 + 12 * 6 + 6);

}  // namespace

TEST_CASE("Linear is a product and a bias", "[nn]") {
  auto linear = build<Linear<2, 3>>(Key{1});
  std::copy_n(std::array{1.f, 2.f, 3.f, 4.f, 5.f, 6.f}.data(), 6, linear.weight.data());
  std::copy_n(std::array{10.f, 20.f, 30.f}.data(), 3, linear.bias.data());
  const Tensor y = linear(Tensor<float, Shape<1, 2>>{1, -1});
  CHECK(distance(y, Tensor<float, Shape<1, 3>>{7, 17, 27}) == 0);
}

TEST_CASE("an embedding's rows and scores share one table", "[nn]") {
  const auto table = build<Embedding<5, 3>>(Key{2});
  const Tensor<std::int32_t, Shape<2>> ids{4, 1};
  const Tensor rows = table(ids);
  for (Index j = 0; j < 3; ++j) CHECK(rows(0, j) == table.table.values()[static_cast<std::size_t>(12 + j)]);
  const Tensor scores = table.scores(rows);
  for (Index v = 0; v < 5; ++v) {
    float expected = 0;
    for (Index j = 0; j < 3; ++j)
      expected += rows(1, j) * table.table.values()[static_cast<std::size_t>(v * 3 + j)];
    CHECK(scores(1, v) == Approx(expected).margin(1e-8));
  }
}

TEST_CASE("the gain of a norm and its gradient are not rounded to bf16", "[nn]") {
  const auto check = [](auto norm) {
    std::fill_n(norm.gain.data(), 16, 1 + 0x1p-12f);  // 1 in bf16
    const Tensor<bf16, Shape<1, 16>> x(cast<bf16>(normal<Shape<1, 16>>(Key{6})));
    const Tensor wide(cast<float>(x));
    const auto loss = [&](const auto& from) {
      return value_and_grad(norm, [&](Tape& tape) { return sum(cast<float>(norm(tape.watch(from)))); });
    };
    const auto narrow = loss(x), exact = loss(wide);
    for (std::size_t i = 0; i < 16; ++i)
      CHECK(narrow.second.values()[i] == Approx(exact.second.values()[i]).epsilon(1e-6));
  };
  check(build<RmsNorm<16, MixedBf16<Cpu>>>(Key{7}));
  check(build<LayerNorm<16, MixedBf16<Cpu>>>(Key{7}));
}

TEST_CASE("a norm's add gives the sum and its norm", "[nn]") {
  const auto x = normal<Shape<4, 16>>(Key{3}), y = normal<Shape<4, 16>>(Key{5});
  const auto check = [&](const auto& norm) {
    const auto [sum, normed] = norm.add(x, y);
    CHECK(same_bits(sum.values(), Tensor(x + y).values()));
    CHECK(same_bits(normed.values(), norm(x + y).values()));
  };
  check(build<RmsNorm<16>>(Key{4}));
  check(build<LayerNorm<16>>(Key{4}));
  check(build<RmsNorm<16, MixedBf16<Cpu>>>(Key{4}));
}

TEST_CASE("norms are normal", "[nn]") {
  const auto x = Tensor(normal<Shape<4, 16>>(Key{3}) * 7.0f + 2.0f);
  const Tensor rms = build<RmsNorm<16>>(Key{4})(x), layer = build<LayerNorm<16>>(Key{4})(x);
  for (Index i = 0; i < 4; ++i) {
    double square = 0, mean = 0, spread = 0;
    for (Index j = 0; j < 16; ++j) {
      square += std::pow(static_cast<double>(rms(i, j)), 2) / 16;
      mean += static_cast<double>(layer(i, j)) / 16;
      spread += std::pow(static_cast<double>(layer(i, j)), 2) / 16;
    }
    CHECK(square == Approx(1).epsilon(1e-5));
    CHECK(mean == Approx(0).margin(1e-6));
    CHECK(spread == Approx(1).epsilon(1e-5));
  }
}

TEST_CASE("combinators compute what they say and name what they hold", "[nn]") {
  const auto x = normal<Shape<2, 6>>(Key{5});
  const auto residual = build<Residual<Hidden>>(Key{6});
  CHECK(distance(Tensor(residual(x)), Tensor(x + residual.inner(x))) == 0);
  const auto chain = build<Sequential<Linear<6, 4>, Linear<4, 2>, Linear<2, 6>>>(Key{7});
  CHECK(distance(Tensor(chain(x)), Tensor(chain.rest.rest.last(chain.rest.first(chain.first(x))))) == 0);
  auto repeat = build<Repeat<Residual<Hidden>, 2>>(Key{8});
  CHECK(distance(Tensor(repeat(x)), Tensor(repeat.blocks[1](Tensor(repeat.blocks[0](x))))) == 0);
  CHECK(names_of(repeat) ==
        "0.inner.up.weight 0.inner.up.bias 0.inner.down.weight 0.inner.down.bias "
        "1.inner.up.weight 1.inner.up.bias 1.inner.down.weight 1.inner.down.bias ");
  CHECK(names_of(Attention{}) ==
        "query.weight key.weight value.weight position.weight content_bias position_bias output.weight "
        "output.bias ");
}

TEST_CASE("a rematerialised module gives the same bits", "[nn]") {
  const auto x = normal<Shape<5, 6>>(Key{9});
  const auto kept = build<Residual<Hidden>>(Key{10});
  auto copied = build<Residual<Remat<Hidden>>>(Key{11});
  std::ranges::copy(parameters(kept).values(), parameters(copied).values().begin());
  const auto a = gradient_of(kept, x);
  const auto b = gradient_of(copied, x);
  CHECK(a.first == b.first);
  CHECK(same_bits(a.second.values(), b.second.values()));
}

TEST_CASE("rematerialisation also gives the input's gradient", "[nn]") {
  const auto x = normal<Shape<2, 3>, double>(Key{13});
  const auto f = [](const auto& a) { return tanh(matmul(a, transpose(a))) * 2.0; };
  CHECK(gradient_error([&](const auto& a) { return checkpoint(f, a * 0.5); }, x) <= 1e-8);
}

TEST_CASE("relative attention decodes to what it computes at once", "[nn]") {
  const auto attention = build<Attention>(Key{14});
  const auto x = normal<Shape<1, dyn, 6>>(Key{15}, Shape<1, dyn, 6>{{1, 9, 6}});
  const Tensor complete = attention(x);
  for (const Index first : {1, 4, 9}) {
    auto cache = attention.cache(9);
    std::vector<float> pieces;
    for (Index begin = 0, count = first; begin < 9; begin += count, count = 1) {
      const Tensor next = slice<1>(x, begin, count);
      const Tensor y = attention(next, cache);
      pieces.insert(pieces.end(), y.values().begin(), y.values().end());
    }
    CHECK(cache.length == 9);
    const Tensor<float, Shape<1, dyn, 6>> decoded{x.shape(), pieces};
    CHECK(distance(complete, decoded) <= 1e-6);
    CHECK_THROWS_WITH(attention(Tensor(slice<1>(x, 0, 1)), cache),
                      Contains("AttentionCache: 10 tokens in a cache of 9"));
  }
}

TEST_CASE("attention of static and run-time extents gives the same bits", "[nn]") {
  using Sized = RelativeAttention<dyn, dyn, dyn>;
  const auto fixed = build<Attention>(Key{16});
  const auto sized = build(Sized::sized(6, 3, 4), Key{16});
  REQUIRE(same_bits(parameters(fixed).values(), parameters(sized).values()));
  const auto x = normal<Shape<2, 5, 6>>(Key{17});
  const Tensor<float, Shape<dyn, dyn, dyn>> y{Shape<dyn, dyn, dyn>{{2, 5, 6}}, x.values()};
  const auto a = gradient_of(fixed, x);
  const auto b = gradient_of(sized, y);
  CHECK(a.first == b.first);
  CHECK(same_bits(a.second.values(), b.second.values()));
  CHECK_THROWS_WITH(Extent<3>{4}, Contains("Extent: 4 where the type says 3"));
}

TEST_CASE("a batch item of attention does not see the others", "[nn]") {
  const auto attention = build<CausalSelfAttention<6, 2>>(Key{18});
  auto x = normal<Shape<2, 5, 6>>(Key{19});
  const Tensor before = attention(x);
  for (Index t = 0; t < 5; ++t) x(1, t, 0) += 1.0f;
  const Tensor after = attention(x);
  for (Index i = 0; i < 30; ++i) CHECK(before.data()[i] == after.data()[i]);
  CHECK(before(1, 4, 0) != after(1, 4, 0));
}
