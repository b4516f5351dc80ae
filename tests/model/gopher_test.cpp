// The model: its size against the published counts, its gradient against differences, causality, decoding,
// training until it knows a text by heart, and steps that allocate nothing.
#include "gopher_model/model/gopher.hpp"

#include <cstring>

#include <burrow/autodiff/reduce.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

#include "gopher_model/model/pass_memory.hpp"
#include "tests/threads.hpp"
#include "tests/worse.hpp"

namespace gopher::gopher_test {
namespace {

template <template <class> class Model>
constexpr bool counts_like(const Preset& preset) {
  return parameter_count<Model<Float32<Cpu>>> == parameters(preset.size).full() &&
         parameter_count<Model<Bf16<Cpu>>> == parameters(preset.size).full();
}
static_assert(counts_like<Gopher44M>(gopher_44m) && counts_like<Gopher117M>(gopher_117m));
static_assert(counts_like<Gopher417M>(gopher_417m) && counts_like<Gopher1B>(gopher_1_4b));
static_assert(counts_like<Gopher7B>(gopher_7_1b) && counts_like<Gopher280B>(gopher_280b));
static_assert(parameter_count<Gopher280B<>> == 279'710'317'824);

constexpr ModelSize small{
    .layers = 2, .width = 6, .heads = 2, .head_width = 4, .feed_forward = 10, .vocabulary = 9, .context = 7};
using Fixed = Gopher<small, Float64<Cpu>>;
using Sized = RunTimeGopher<Float64<Cpu>>;
using Tokens = Tensor<std::int32_t, Shape<dyn, dyn>>;

Tokens random_tokens(Index batch, Index length, std::uint64_t seed) {
  Tokens tokens{Shape<dyn, dyn>{{batch, length}}};
  for (Index i = 0; i < tokens.size(); ++i)
    tokens.data()[i] = static_cast<std::int32_t>(Key{seed}.bits(static_cast<std::uint64_t>(i)) % 9);
  return tokens;
}

/// A model whose biases and gains are not all alike.
template <class Model>
Model random_model(std::uint64_t seed, const ModelSize& size = small) {
  auto model = build(Model::make(size), Key{seed});
  const auto values = parameters(model).values();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] += 0.2 * static_cast<double>(Key{seed + 1}.normal(i));
  return model;
}

template <class Model>
auto loss_and_gradient(const Model& model, const Tokens& in, const Tokens& out) {
  return value_and_grad(model, [&](Tape& tape) { return model.loss(tape.watch(in), out).sum * 0.1; });
}

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(*a.data())) == 0;
}

double distance(std::span<const double> a, std::span<const double> b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = worse(worst, std::abs(a[i] - b[i]));
  return worst;
}

TEST_CASE("parameters are named after the paper's parts") {
  std::vector<std::string> names;
  const auto model = Sized::make(small);
  for_each_parameter(model, [&](const std::string& name, const auto&) { names.push_back(name); });
  REQUIRE(names.size() == 1 + 2 * 14 + 2);
  CHECK(names[0] == "embedding.table");
  CHECK(names[1] == "blocks.0.attention_norm.gain");
  CHECK(names[3] == "blocks.0.attention.query.weight");
  CHECK(names[6] == "blocks.0.attention.position.weight");
  CHECK(names[28] == "blocks.1.mlp.down.bias");
  CHECK(names[29] == "final_norm.gain");
  CHECK(names[30] == "output.bias");
  CHECK(count_parameters(model) == parameters(small).full());
  STATIC_REQUIRE(parameter_count<Fixed> == parameters(small).full());
}

TEST_CASE("the gradient of the whole model agrees with differences") {
  auto model = random_model<Fixed>(1);
  const auto in = random_tokens(2, 5, 2), out = random_tokens(2, 5, 3);
  const auto gradient = loss_and_gradient(model, in, out).second;
  const auto values = parameters(model).values();
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double center = values[i], step = 1e-4;
    const auto loss_at = [&](double value) {
      values[i] = value;
      return 0.1 * model.loss(in, out).sum.item();
    };
    const double near = loss_at(center + step) - loss_at(center - step);
    const double far = loss_at(center + 2 * step) - loss_at(center - 2 * step);
    values[i] = center;
    worst = worse(worst, std::abs(gradient.values()[i] - (8 * near - far) / (12 * step)));
  }
  CHECK(worst <= 1e-8);
}

TEST_CASE("static and run-time extents give the same bits") {
  const auto fixed = random_model<Fixed>(4);
  const auto sized = random_model<Sized>(4);
  REQUIRE(same_bits(parameters(fixed).values(), parameters(sized).values()));
  const auto in = random_tokens(3, 7, 5), out = random_tokens(3, 7, 6);
  const auto a = loss_and_gradient(fixed, in, out);
  const auto b = loss_and_gradient(sized, in, out);
  CHECK(a.first == b.first);
  CHECK(same_bits(a.second.values(), b.second.values()));
}

TEST_CASE("rematerialisation changes no bit of loss and gradient") {
  const auto in = random_tokens(2, 6, 8), out = random_tokens(2, 6, 9);
  const auto check = [&](auto model) {
    model.blocks.rematerialize = Rematerialization::none();
    const auto run = [&] {
      return value_and_grad(model, [&](Tape& tape) { return model.loss(tape.watch(in), out).sum; });
    };
    const auto kept = run();
    for (const auto choice :
         {Rematerialization::selective(), Rematerialization::block(), Rematerialization::every(2)}) {
      INFO(choice.text());
      model.blocks.rematerialize = choice;
      const auto again = run();
      CHECK(kept.first == again.first);
      CHECK(same_bits(kept.second.values(), again.second.values()));
    }
  };
  check(random_model<Fixed>(7));
  check(random_model<Sized>(7));
  check(build(Gopher<small, MixedBf16<Cpu>>::make(small), Key{7}));
  check(build(RunTimeGopher<MixedBf16<Cpu>>::make(small), Key{7}));
}

TEST_CASE("passes have as many bytes of values at once as their accounting says, exactly") {
  constexpr ModelSize size{.layers = 5,
                           .width = 34,
                           .heads = 3,
                           .head_width = 10,
                           .feed_forward = 70,
                           .vocabulary = 331,
                           .context = 52};
  constexpr ModelSize few_words{.layers = 4,
                                .width = 64,
                                .heads = 2,
                                .head_width = 32,
                                .feed_forward = 256,
                                .vocabulary = 9,
                                .context = 60};
  const auto check = [&]<class Policy>(Policy, Precision precision) {
    using Model = RunTimeGopher<Policy>;
    for (const ModelSize& each : {size, few_words})
      for (const auto& [sequences, choice] : {std::pair{Index{1}, Rematerialization::selective()},
                                              {1, Rematerialization::none()},
                                              {3, Rematerialization::none()},
                                              {3, Rematerialization::selective()},
                                              {3, Rematerialization::block()},
                                              {3, Rematerialization::every(3)}}) {
        auto model = build(Model::make(each), Key{1});
        model.blocks.rematerialize = choice;
        Gradient<Model> gradient{model};
        const auto in = random_tokens(sequences, each.context, 2);
        const auto pass = [&] {
          accumulate_gradient(model, gradient,
                              [&](Tape& tape) { return model.loss(tape.watch(in), in).sum * 0.1f; });
        };
        pass();  // makes the encodings of positions
        reset_peak_memory();
        const Index before = memory_statistics().value_bytes_in_use;
        pass();
        CAPTURE(choice.text(), sequences, each.width, name_of(precision));
        CHECK(memory_statistics().peak_value_bytes - before ==
              pass_bytes(each, sequences, precision, choice));
        CHECK(memory_statistics().value_bytes_in_use == before);
      }
  };
  check(Float32<Cpu>{}, Precision::float32);
  check(MixedBf16<Cpu>{}, Precision::mixed_bf16);
  check(Bf16<Cpu>{}, Precision::bf16_master);
}

TEST_CASE("a prediction depends on the tokens before it and on no later one") {
  const auto model = random_model<Fixed>(10);
  const auto in = random_tokens(1, 7, 11);
  const auto before = Tensor(model(in));
  for (Index t = 0; t < 7; ++t) {
    auto changed = in;
    changed(0, t) = (changed(0, t) + 1) % 9;
    const auto after = Tensor(model(changed));
    for (Index i = 0; i < 7; ++i) {
      CAPTURE(t, i);
      CHECK((std::abs(before(0, i, 0) - after(0, i, 0)) > 1e-9) == (i >= t));
    }
  }
}

TEST_CASE("the embedding learns from both of its ends") {
  const auto model = random_model<Fixed>(12);
  Tokens in{Shape<dyn, dyn>{{1, 3}}};
  std::copy_n(std::array{4, 1, 4}.data(), 3, in.data());
  const auto rows = [&](const auto& gradient) {
    std::array<bool, 9> touched{};
    for (std::size_t i = 0; i < 54; ++i) touched[i / 6] |= gradient.of(model.embedding.table)[i] != 0.0;
    return touched;
  };
  const auto input_end = value_and_grad(
      model, [&](Tape& tape) { return sum(model.hidden(tape.watch(in)) * full<Shape<6>, double>(0.3)); });
  CHECK(rows(input_end.second) == std::array{false, true, false, false, true, false, false, false, false});
  const auto hidden = Tensor(model.hidden(in));
  const auto output_end = value_and_grad(
      model, [&](Tape& tape) { return cross_entropy(model.logits(tape.watch(hidden)), in).sum; });
  const auto both = value_and_grad(model, [&](Tape& tape) { return model.loss(tape.watch(in), in).sum; });
  for (std::size_t row = 0; row < 9; ++row) {
    CAPTURE(row);
    CHECK(rows(output_end.second)[row]);
    const bool read = row == 1 || row == 4;
    const auto part = [&](const auto& g) { return g.of(model.embedding.table).subspan(row * 6, 6); };
    CHECK((distance(part(both.second), part(output_end.second)) > 1e-9) == read);
  }
}

TEST_CASE("targets below zero do not count") {
  const auto model = random_model<Fixed>(13);
  const auto in = random_tokens(2, 5, 14);
  auto out = random_tokens(2, 5, 15);
  const auto all = model.loss(in, out);
  CHECK(all.count == 10);
  auto first = out, rest = out;
  for (Index i = 0; i < 10; ++i) (i < 4 ? rest : first).data()[i] = -1;
  const auto one = model.loss(in, first), two = model.loss(in, rest);
  CHECK(one.count == 4);
  CHECK(two.count == 6);
  CHECK(one.sum.item() + two.sum.item() == Approx(all.sum.item()).epsilon(1e-12));
}

TEST_CASE("decoding with caches equals the whole forward pass") {
  const auto model = random_model<Sized>(16);
  const auto in = random_tokens(1, 7, 17);
  const auto whole = Tensor(model(in));
  for (const Index first : {1, 3, 7}) {
    auto caches = model.caches(7);
    for (Index begin = 0, count = first; begin < 7; begin += count, count = 1) {
      const Tensor<std::int32_t, Shape<1, dyn>> next = slice<1>(in, begin, count);
      const auto logits = model.next(next, caches);
      const Index last = begin + count - 1;
      CAPTURE(first, last);
      CHECK(distance(logits.values(), whole.values().subspan(static_cast<std::size_t>(last * 9), 9)) <=
            1e-12);
    }
  }
}

TEST_CASE("a model learns a text by heart, and its steps allocate nothing once warm") {
  // On one thread: with more, timing decides how many heads' scratch is in use at once, up to one for each
  // thread.
  const Threads scope{1};
  constexpr ModelSize learner{2, 16, 2, 8, 32, 9, 12};
  auto model = build(Sized::make(learner), Key{18});
  auto optimizer = Adam{model, {.learning_rate = 1e-2}};
  Gradient gradient{model};
  const auto text = random_tokens(2, 13, 19);
  const Tokens in = slice<1>(text, 0, 12), out = slice<1>(text, 1, 12);
  double loss = 0;
  Index warm = 0;
  for (int step = 0; step < 200; ++step) {
    if (step == 3) warm = memory_statistics().system_allocations;
    gradient.clear();
    loss = accumulate_gradient(model, gradient,
                               [&](Tape& tape) { return model.loss(tape.watch(in), out).sum * (1.0 / 24); });
    optimizer.step(model, gradient);
    if (step == 0) CHECK(loss == Approx(std::log(9.0)).epsilon(0.1));
    if (step == 7) CHECK(memory_statistics().system_allocations == warm);
  }
  CHECK(loss < 0.1);
  CHECK(memory_statistics().system_allocations == warm);
}

TEST_CASE("sizes that no model has are refused") {
  CHECK_THROWS_AS(Sized::make({2, 5, 1, 4, 8, 9, 7}), ConfigError);
  CHECK_THROWS_AS(Sized::make({0, 4, 1, 4, 8, 9, 7}), ConfigError);
}

}  // namespace
}  // namespace gopher::gopher_test
