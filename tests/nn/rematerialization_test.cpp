// What is kept for the backward pass and what is computed again: bytes counted, and the same bits whatever is
// chosen.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/dropout.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/indexing.hpp>
#include <catch2/catch.hpp>

#include "tests/nn/laws.hpp"

namespace {

using namespace burrow;
using nn_test::same_bits;

constexpr Index tokens = 128, width = 64, hidden = 256;

template <Index Width, Index Hidden, class Policy>
struct Block {
  LayerNorm<Width, Policy> first_norm;
  RmsNorm<Width, Policy> second_norm;
  SwiGlu<Width, Hidden, Policy> glu;
  Mlp<Width, Hidden, Policy> mlp;

  static Block sized(Index w, Index h) {
    return {LayerNorm<Width, Policy>::sized(w), RmsNorm<Width, Policy>::sized(w),
            SwiGlu<Width, Hidden, Policy>::sized(w, h), Mlp<Width, Hidden, Policy>::sized(w, h)};
  }
  auto operator()(const auto& x) const {
    const auto [h, normed] = second_norm.add(x, glu(first_norm(x)));
    return h + mlp(normed);
  }
};

template <class Policy>
auto fixed_blocks() {
  return build<Repeat<Block<width, hidden, Policy>, 5>>(Key{1});
}
template <class Policy>
auto sized_blocks() {
  Repeat<Block<dyn, dyn, Policy>, dyn> repeat;
  for (int i = 0; i < 5; ++i) repeat.blocks.push_back(Block<dyn, dyn, Policy>::sized(width, hidden));
  return build(std::move(repeat), Key{1});
}

/// Bytes in use while the result of f exists.
template <class F>
Index kept_bytes(const F& f) {
  const Index before = memory_statistics().bytes_in_use;
  const auto result = f();
  return memory_statistics().bytes_in_use - before;
}

template <class Policy, class Model>
void check_choices(Model model) {
  using C = typename Policy::compute;
  const Tensor<C, Shape<2, 7, width>> x = cast<C>(normal<Shape<2, 7, width>>(Key{2}));
  const auto run = [&](Rematerialization choice) {
    model.rematerialize = choice;
    return value_and_grad(model, [&](Tape& tape) { return sum(square(cast<float>(model(tape.watch(x))))); });
  };
  const auto kept = run(Rematerialization::none());
  for (const auto choice :
       {Rematerialization::selective(), Rematerialization::block(), Rematerialization::every(2),
        Rematerialization::every(5), Rematerialization::every(9)}) {
    INFO(choice.text());
    const auto again = run(choice);
    CHECK(kept.first == again.first);
    CHECK(same_bits(kept.second.values(), again.second.values()));
  }
}

}  // namespace

TEST_CASE("losses and gradients have the same bits whatever is computed again", "[nn]") {
  check_choices<Float32<Cpu>>(fixed_blocks<Float32<Cpu>>());
  check_choices<Float32<Cpu>>(sized_blocks<Float32<Cpu>>());
  check_choices<MixedBf16<Cpu>>(fixed_blocks<MixedBf16<Cpu>>());
  check_choices<MixedBf16<Cpu>>(sized_blocks<MixedBf16<Cpu>>());
}

TEST_CASE("a feed-forward block keeps its sums and what its activations are computed from", "[nn]") {
  auto model = fixed_blocks<Float32<Cpu>>();
  const auto x = normal<Shape<tokens, width>>(Key{3});
  const auto kept = [&](Rematerialization choice) {
    model.rematerialize = choice;
    Tape tape;
    Gradient gradient{model};
    tape.differentiate(parameters(model).store(), gradient.values().data());
    return kept_bytes([&] { return model(tape.watch(x)); });
  };
  constexpr Index line = tokens * width * Index{sizeof(float)}, small = 5 * 16 * 1024;
  // Of a block: two sums, gate, up, and up of the second part; beside these the norms, silu(gate) up and
  // gelu.
  const Index selective = 5 * (2 + 3 * 4) * line, none = selective + 5 * (2 + 2 * 4) * line;
  const auto near = [&](Index bytes, Index expected) {
    INFO(bytes << " for " << expected);
    CHECK(bytes >= expected);
    CHECK(bytes <= expected + small);
  };
  near(kept(Rematerialization::none()), none);
  near(kept(Rematerialization::selective()), selective);
  near(kept(Rematerialization::block()), 5 * line);
  near(kept(Rematerialization::every(2)), 3 * line);
}

TEST_CASE("a value that is computed again serves several products and views, in every sweep", "[nn]") {
  const auto x = normal<Shape<6, 8>, double>(Key{4});
  const auto w = normal<Shape<4, 5>, double>(Key{5});
  const auto v = normal<Shape<8, 5>, double>(Key{6});
  const auto f = [](const auto& a, const auto& b, const auto& c) {
    const auto y = materialize(tanh(a) * a);
    const auto part = slice<1, 4>(y, 3);
    return sum(square(matmul(part, b) + matmul(y, c))) + sum(matmul(transpose(y), y));
  };
  check_gradient(f, x, w, v);

  Tape tape;
  const auto a = tape.watch(x);
  const auto b = tape.watch(w);
  const auto c = tape.watch(v);
  const auto loss = materialize(f(a, b, c));
  tape.backward(loss, keep_record);
  const auto first = tape.gradient(b);
  tape.backward(loss);
  CHECK(same_bits(first.values(), tape.gradient(b).values()));
}

TEST_CASE("an operation of one's own says how its value is computed again", "[nn]") {
  int computed = 0;
  const auto doubled = [&computed](const auto& x) {
    const auto tape = tape_of(x);
    const auto in = dense_operand(tape, x);
    const auto compute = [in, &computed] {
      ++computed;
      return Tensor<double, Shape<3, 4>>(in.view() * 2.0);
    };
    const auto backward = [in](const auto& dy) { add_gradient(in, dy * 2.0); };
    return record(tape, "doubled", compute(), Recomputable{backward, compute}, in);
  };
  const auto w = normal<Shape<4, 5>, double>(Key{7});
  const auto x = normal<Shape<3, 4>, double>(Key{8});
  const auto loss_of = [&](Tape& tape) {
    const auto y = doubled(tape.watch(x));
    const auto weight = tape.watch(w);
    return materialize(sum(square(matmul(y, weight))) + sum(matmul(y, weight)));
  };
  Tape tape;
  tape.backward(loss_of(tape));
  CHECK(computed == 2);  // for the first of the two products; the other one finds it

  Tape keeping;
  CHECK(keeping.recompute_values(false));
  keeping.backward(loss_of(keeping));
  CHECK(computed == 3);
}

TEST_CASE("a choice is read as it is written, and other texts are refused", "[nn]") {
  for (const auto choice : {Rematerialization::none(), Rematerialization::selective(),
                            Rematerialization::block(), Rematerialization::every(7)})
    CHECK(parse_rematerialization(choice.text()) == choice);
  CHECK(Rematerialization{} == Rematerialization::selective());
  CHECK(Rematerialization::every(1) == Rematerialization::block());
  for (const char* const text : {"", "blocks", "every=0", "every=-1", "every=", "every=2x", "every=2 ",
                                 "every=+2", "every=99999999999999999999"})
    CHECK_THROWS_WITH(parse_rematerialization(text),
                      Catch::Contains(std::string("'") + text + "' is none of none, selective"));
}
