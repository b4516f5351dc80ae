// Attention layers with shared heads and a choice of positions: reference, gradients, decoding, causality.
#include <burrow/nn/attention.hpp>
#include <burrow/nn/combinators.hpp>
#include <catch2/catch.hpp>

#include "tests/nn/laws.hpp"

using namespace nn_test;
using Catch::Matchers::Contains;

namespace {

using Double = Float64<Cpu>;
template <class Positions>
using Shared = GroupedQueryAttention<8, 4, 2, Positions, Double>;
using Sized = GroupedQueryAttention<dyn, dyn, dyn, RotaryEmbedding, Double>;
using Any = Shape<dyn, dyn, dyn>;

static_assert(parameter_count<Shared<RotaryEmbedding>> == 2 * 8 * 8 + 2 * 8 * 4);
static_assert(parameter_count<GroupedQueryAttention<8, 4>> == 4 * 8 * 8);

/// Numbers of one type for all calls: fewer instantiations to compile.
Tensor<double, Any> numbers(int seed, Index batch, Index length) {
  return normal<Any, double>(Key{static_cast<std::uint64_t>(seed)}, Any{{batch, length, 8}});
}

/// x [T, 8] times a weight, by loops.
std::vector<double> product(const std::vector<double>& x, const auto& weight) {
  const auto in = static_cast<std::size_t>(weight.shape()[0]),
             out = static_cast<std::size_t>(weight.shape()[1]);
  std::vector<double> y(x.size() / in * out);
  for (std::size_t t = 0; t < x.size() / in; ++t)
    for (std::size_t i = 0; i < in; ++i)
      for (std::size_t o = 0; o < out; ++o) y[t * out + o] += x[t * in + i] * weight.values()[i * out + o];
  return y;
}

/// The layer's formula for one sequence: 4 heads of 2, of which pairs share keys and values.
template <class Positions>
std::vector<double> reference(const Shared<Positions>& layer, const std::vector<double>& x) {
  constexpr bool turned = std::same_as<Positions, RotaryEmbedding>;
  constexpr bool linear = std::same_as<Positions, AlibiBiases>;
  const auto q = product(x, layer.query.weight), k = product(x, layer.key.weight),
             v = product(x, layer.value.weight);
  std::vector<double> attended(q.size());
  for (std::size_t h = 0; h < 4; ++h)
    for (std::size_t i = 0; i < x.size() / 8; ++i) {
      const double *a = &q[i * 8 + h * 2], *values = &v[h / 2 * 2];
      std::vector<double> p;
      double total = 0;
      for (std::size_t j = 0; j <= i; ++j) {
        const double* b = &k[j * 4 + h / 2 * 2];
        const auto distance = static_cast<double>(i - j);
        // Heads of 2 have one pair, so turning both means turning by the distance.
        const double c = turned ? std::cos(distance) : 1, s = turned ? std::sin(distance) : 0;
        const double score = (c * (a[0] * b[0] + a[1] * b[1]) + s * (a[0] * b[1] - a[1] * b[0]));
        const double slope = linear ? std::exp2(-2.0 * static_cast<double>(h + 1)) : 0;
        total += p.emplace_back(std::exp(score / std::sqrt(2.0) - slope * distance));
      }
      for (std::size_t j = 0; j <= i; ++j)
        for (std::size_t c = 0; c < 2; ++c) attended[i * 8 + h * 2 + c] += p[j] / total * values[j * 4 + c];
    }
  return product(attended, layer.output.weight);
}

struct Remembering {
  Shared<RotaryEmbedding> attention;
  auto operator()(const auto& x, auto&... past) const { return x + attention(x, past...); }
  auto cache(Index capacity) const { return attention.cache(capacity); }
};

/// Decodes x [1, T, Width] in pieces: `first` tokens at once, then one by one.
template <class Layer, class X>
Tensor<double, Any> decoded(const Layer& layer, const X& x, Index first) {
  auto cache = layer.cache(x.shape()[1]);
  std::vector<double> pieces;
  for (Index begin = 0, count = first; begin < x.shape()[1]; begin += count, count = 1) {
    const Tensor y = layer(Tensor(slice<1>(x, begin, count)), cache);
    pieces.insert(pieces.end(), y.values().begin(), y.values().end());
  }
  return {Any{x.shape().values()}, pieces};
}

template <class Layer>
void obeys(Layer& layer) {
  const auto x = numbers(2, 1, 6);
  const Tensor complete = layer(x);
  for (const Index first : {1, 4, 6}) CHECK(distance(decoded(layer, x, first), complete) <= 1e-12);
  auto changed = x;
  changed(0, 4, 0) += 1.0;
  const Tensor after = layer(changed);
  for (Index i = 0; i < 4 * 8; ++i) CHECK(after.data()[i] == complete.data()[i]);
  for (Index t = 4; t < 6; ++t) CHECK(after(0, t, 0) != complete(0, t, 0));
  CHECK(gradients_agree(layer, numbers(3, 2, 3)));
}

template <class Positions>
void agrees() {
  auto layer = build<Shared<Positions>>(Key{1});
  const auto x = numbers(4, 1, 5);
  const auto y = reference(layer, {x.values().begin(), x.values().end()});
  CHECK(distance(Tensor(layer(x)), Tensor<double, Shape<40>>{Shape<40>{}, y}) <= 1e-12);
  obeys(layer);
}

}  // namespace

TEST_CASE("shared heads with rotary embedding agree with a plain loop", "[nn]") { agrees<RotaryEmbedding>(); }
TEST_CASE("shared heads with linear biases agree with a plain loop", "[nn]") { agrees<AlibiBiases>(); }

TEST_CASE("attention without positions decodes and has the right gradients", "[nn]") {
  auto layer = build<CausalSelfAttention<8, 2, Double>>(Key{5});
  obeys(layer);
  const auto sized = build(CausalSelfAttention<dyn, dyn, Double>::sized(8, 2), Key{5});
  const auto x = numbers(6, 2, 3);
  CHECK(same_bits(Tensor(layer(x)), Tensor(sized(x))));
}

TEST_CASE("shared heads of run-time extents give the same bits", "[nn]") {
  const auto fixed = build<Shared<RotaryEmbedding>>(Key{7});
  const auto sized = build(Sized::sized(8, 4, 2), Key{7});
  CHECK(names_of(fixed) == "query.weight key.weight value.weight output.weight ");
  CHECK(names_of(sized) == names_of(fixed));
  const auto x = numbers(8, 2, 5);
  CHECK(same_bits(Tensor(fixed(x)), Tensor(sized(x))));
  auto cache = sized.cache(2);
  CHECK(cache.keys.shape() == Shape<1, dyn, dyn>{{1, 2, 4}});
  CHECK_THROWS_WITH(sized(numbers(8, 1, 3), cache), Contains("AttentionCache: 3 tokens in a cache of 2"));
  CHECK_THROWS_WITH(Sized::sized(8, 3, 1),
                    Contains("3 heads and 1 key/value heads do not share a width of 8"));
}

TEST_CASE("repeated blocks decode with a cache each", "[nn]") {
  const auto blocks = build<Repeat<Remembering, 3>>(Key{11});
  const auto x = numbers(12, 1, 6);
  const Tensor complete = blocks(x);
  auto caches = blocks.caches(6);
  CHECK(caches.size() == 3);
  const Tensor first = blocks(slice<1, 4>(x, 0), caches);
  const Tensor second = blocks(slice<1, 2>(x, 4) * 1.0, caches);
  CHECK(distance(first, Tensor(slice<1, 4>(complete, 0))) <= 1e-12);
  CHECK(distance(second, Tensor(slice<1, 2>(complete, 4))) <= 1e-12);
  caches.pop_back();
  CHECK_THROWS_WITH(blocks(x, caches), Contains("Repeat: 2 caches for 3 blocks [grouped_query_test.cpp:"));
}

TEST_CASE("shared heads compute in bf16", "[nn]") {
  const auto narrow = build<GroupedQueryAttention<8, 4, 2, RotaryEmbedding, Bf16<Cpu>>>(Key{9});
  const auto wide = build<Shared<RotaryEmbedding>>(Key{9});
  std::ranges::copy(parameters(narrow).values(), parameters(wide).values().begin());
  const Tensor x(cast<bf16>(numbers(10, 1, 4)));
  CHECK(distance(Tensor(narrow(x)), Tensor(wide(Tensor(cast<double>(x))))) <= 3e-2);
}
