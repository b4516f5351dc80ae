// Switch routing against a plain loop: what is taken, what is dropped, the balance loss, and the gradients.
#include <burrow/nn/mixture_of_experts.hpp>
#include <burrow/nn/selection.hpp>
#include <burrow/tensor/part.hpp>
#include <catch2/catch.hpp>

#include "tests/nn/laws.hpp"
#include "tests/threads.hpp"

using namespace nn_test;

namespace {

using Double = Float64<Cpu>;
using Mixture = SwitchMixture<Mlp<4, 6, Double>, 4, 3, Double>;
using Tokens = Tensor<double, Shape<2, 6, 4>>;

static_assert(parameter_count<Mixture> == 4 * 3 + 3 * parameter_count<Mlp<4, 6>>);

auto balanced_loss(const Mixture& layer, const auto& x) {
  const auto [output, loss] = layer(x);
  return sum(square(output - 0.25)) + loss * 0.5;
}

struct Reference {
  std::vector<double> output;
  double balance_loss = 0;
  int dropped = 0;
};

Reference reference(const Mixture& layer, const Tokens& x, Index capacity) {
  Reference r;
  std::array<Index, 3> chosen{};
  std::array<double, 3> mass{};
  for (Index t = 0; t < 12; ++t) {
    const double* const token = x.data() + t * 4;
    std::array<double, 3> p{};
    double total = 0;
    for (std::size_t e = 0; e < 3; ++e) {
      double logit = 0;
      for (Index c = 0; c < 4; ++c)
        logit += token[c] * layer.router.weight.data()[c * 3 + static_cast<Index>(e)];
      total += p[e] = std::exp(logit);
    }
    std::size_t best = 0;
    for (std::size_t e = 0; e < 3; ++e) {
      mass[e] += p[e] /= total;
      if (p[e] > p[best]) best = e;
    }
    const bool taken = chosen[best]++ < capacity;
    r.dropped += taken ? 0 : 1;
    const Tensor<double, Shape<1, 4>> row{token[0], token[1], token[2], token[3]};
    const Tensor y = layer.experts[best](row);
    for (Index c = 0; c < 4; ++c) r.output.push_back(taken ? p[best] * y(0, c) : 0);
  }
  for (std::size_t e = 0; e < 3; ++e)
    r.balance_loss += 3 * static_cast<double>(chosen[e]) / 12 * mass[e] / 12;
  return r;
}

}  // namespace

TEST_CASE("a switch mixture agrees with a plain loop", "[nn]") {
  auto layer = build<Mixture>(Key{1});
  const auto x = normal<Shape<2, 6, 4>, double>(Key{2});
  for (const double factor : {10.0, 1.25, 0.5, 0.01}) {
    layer.capacity_factor = factor;
    const auto expected = reference(layer, x, layer.capacity(12));
    const auto [output, loss] = layer(x);
    CAPTURE(factor, expected.dropped);
    CHECK((expected.dropped > 0) == (factor < 2));
    CHECK(output.shape() == x.shape());
    CHECK(distance(Tensor(output), Tensor<double, Shape<48>>{Shape<48>{}, expected.output}) <= 1e-12);
    CHECK(loss.item() == Approx(expected.balance_loss).epsilon(1e-12));
  }
  CHECK(Mixture{}.capacity(12) == 5);
}

TEST_CASE("the gradients of a switch mixture agree with differences", "[nn]") {
  auto layer = build<Mixture>(Key{3});
  layer.capacity_factor = 0.75;
  const auto x = normal<Shape<2, 6, 4>, double>(Key{4});
  const auto loss = [&](const auto& in) { return balanced_loss(layer, in); };
  CHECK(parameter_gradient_error(layer, x, loss) <= 1e-8);
  CHECK(gradient_error(loss, x) <= 1e-8);
}

TEST_CASE("experts of a switch mixture learn where its router is constant", "[nn]") {
  const auto layer = build<Mixture>(Key{11});
  const auto x = normal<Shape<2, 6, 4>, double>(Key{12});
  const auto loss = [&](Tape& tape) { return balanced_loss(layer, tape.watch(x)); };
  const auto all = value_and_grad(layer, loss).second;
  const auto part = value_and_grad(wrt(layer.experts[0], layer.experts[1], layer.experts[2]), loss).second;
  const auto routers = static_cast<std::size_t>(layer.router.weight.size());
  CHECK(same_bits(part.values().subspan(routers), all.values().subspan(routers)));
  for (std::size_t i = 0; i < routers; ++i) CHECK(part.values()[i] == 0);
}

TEST_CASE("experts are numbered, and may be as many as the run says", "[nn]") {
  const auto fixed = build<Mixture>(Key{5});
  CHECK(names_of(fixed).starts_with("router.weight experts.0.up.weight experts.0.up.bias "));
  SwitchMixture<Mlp<4, 6, Double>, 4, dyn, Double> sized{Projection<4, dyn, Double>::sized(4, 3), {}};
  sized.experts.resize(3);
  const auto built = build(std::move(sized), Key{5});
  const auto x = normal<Shape<2, 6, 4>, double>(Key{6});
  const auto a = built(x), b = fixed(x);
  CHECK(same_bits(Tensor(a.output), Tensor(b.output)));
  CHECK(a.balance_loss.item() == b.balance_loss.item());
}

TEST_CASE("a switch mixture does not depend on the number of threads", "[nn]") {
  const auto layer = build<Mixture>(Key{7});
  const auto x = normal<Shape<2, 6, 4>, double>(Key{8});
  const auto run = [&] {
    return value_and_grad(layer, [&](Tape& tape) { return balanced_loss(layer, tape.watch(x)); });
  };
  const Threads one{1};
  const auto expected = run();
  set_threads(5);
  const auto again = run();
  CHECK(expected.first == again.first);
  CHECK(same_bits(expected.second.values(), again.second.values()));
}

TEST_CASE("a switch mixture in bf16 routes in fp32", "[nn]") {
  using Narrow = SwitchMixture<Projection<4, 4, Bf16<Cpu>>, 4, 3, Bf16<Cpu>>;
  auto layer = build<Narrow>(Key{9});
  layer.capacity_factor = 3;
  const auto x = normal<Shape<6, 4>, bf16>(Key{10});
  const auto [output, loss] = layer(x);
  static_assert(std::same_as<element_of<decltype(output)>, bf16>);
  static_assert(std::same_as<element_of<decltype(loss)>, float>);
  const Tensor logits(cast<double>(matmul(cast<float>(x), cast<float>(layer.router.weight))));
  for (Index t = 0; t < 6; ++t) {
    double total = 0, top = 0;
    std::size_t best = 0;
    for (std::size_t e = 0; e < 3; ++e) {
      const double mass = std::exp(logits(t, static_cast<Index>(e)));
      total += mass;
      if (mass > top) top = mass, best = e;
    }
    const Tensor y = layer.experts[best](x);
    for (Index c = 0; c < 4; ++c)
      CHECK(static_cast<double>(output.view()(t, c)) ==
            Approx(top / total * static_cast<double>(y(t, c))).margin(0.02));
  }
}

TEST_CASE("a top-k mixture adds up the best experts of each token", "[nn]") {
  const auto layer = build<TopKMixture<Mlp<4, 6, Double>, 4, 3, 2, Double>>(Key{5});
  const auto x = normal<Shape<2, 6, 4>, double>(Key{6});
  const auto rows = reshape<Shape<12, 4>>(x);
  const Tensor logits = layer.router(rows);
  const auto p = softmax(logits);
  const auto least = argmin<1>(logits);
  const auto [output, loss] = layer(x);
  static_assert(std::same_as<shape_of<decltype(output)>, Shape<2, 6, 4>>);
  auto expected = zeros<Shape<12, 4>, double>();
  std::array<double, 3> shares{};
  for (Index e = 0; e < 3; ++e) {
    const auto y = layer.experts[static_cast<std::size_t>(e)](rows);
    for (Index t = 0; t < 12; ++t) {
      if (least(t) == e) continue;
      shares[static_cast<std::size_t>(e)] += 1.0 / 24;
      part(expected, t) += at(y, t) * (p(t, e) / (1 - p(t, least(t))));
    }
  }
  CHECK(distance(Tensor(output), Tensor(reshape(expected, Shape<48>{}))) <= 1e-12);
  double balance = 0;
  for (Index e = 0; e < 3; ++e) balance += 3 * shares[static_cast<std::size_t>(e)] * mean<0>(p)(e);
  CHECK(loss.item() == Approx(balance).epsilon(1e-12));

  const auto total = [&](const auto& in) {
    const auto routed = layer(in);
    return sum(square(routed.output - 0.25)) + routed.balance_loss * 0.5;
  };
  CHECK(parameter_gradient_error(layer, x, total) <= 1e-8);
  CHECK(gradient_error(total, x) <= 1e-8);
}
