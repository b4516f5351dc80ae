// A small Gopher trains and decodes on the device as on the CPU: every operation of the language model
// together.
#include <catch2/catch.hpp>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/nn/clone.hpp>
#include <burrow/ops/attention/cuda.cuh>
#include <burrow/ops/gather/cuda.cuh>
#include <burrow/ops/linear_cross_entropy/cuda.cuh>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/rms_norm/cuda.cuh>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/cuda.cuh>

#include "gopher_model/generation/decoder.hpp"
#include "gopher_model/generation/sampling.cuh"
#include "gopher_model/model/gopher.hpp"
#include "gopher_model/training/captured_passes.cuh"
#include "tests/cuda/close.hpp"

namespace {

using namespace burrow;

constexpr gopher::ModelSize size{2, 16, 2, 8, 32, 40, 12};

Tensor<std::int32_t, Shape<2, 12>> tokens(std::uint64_t seed) {
  return Tensor(cast<std::int32_t>(uniform<Shape<2, 12>>(Key{seed}) * 40));
}

/// The losses of some steps on device D, with the norms of their gradients.
template <class Policy>
auto steps(Rematerialization rematerialize) {
  using D = typename Policy::device;
  using Model = gopher::RunTimeGopher<Policy>;
  auto prototype = Model::make(size);
  prototype.blocks.rematerialize = rematerialize;
  auto model = build(std::move(prototype), Key{1});
  auto optimizer = Adam{model, {.learning_rate = 1e-2}};
  Gradient<Model> gradient{model};
  Tensor<float, Shape<3, 2>> result;
  for (Index step = 0; step < 3; ++step) {
    gradient.clear();
    const auto inputs = to<D>(tokens(7)), targets = to<D>(tokens(8));
    result(step, 0) = static_cast<float>(accumulate_gradient(
        model, gradient, [&](Tape& tape) { return model.loss(tape.watch(inputs), targets).sum * 0.01f; }));
    result(step, 1) = static_cast<float>(global_norm<D>(std::as_const(gradient).values()));
    optimizer.step(model, gradient);
  }
  return result;
}

TEST_CASE("a small Gopher trains on the device as on the CPU", "[cuda]") {
  const auto expected = steps<Float32<Cpu>>({});
  CHECK(expected(2, 0) < expected(0, 0));
  for (const auto choice : {Rematerialization::none(), Rematerialization::selective(),
                            Rematerialization::block(), Rematerialization::every(2)})
    CHECK(distance(steps<Float32<Cuda>>(choice), expected) < 1e-5);
}

const gopher::Tokenizer& tokenizer() {
  static const gopher::Tokenizer trained =
      gopher::Tokenizer::train("a gopher digs a burrow. the burrow is long. ", {.vocabulary = 320});
  return trained;
}

/// A model whose logits are far apart, so that no rounding decides which token is the likeliest, and that
/// never draws the end token.
template <class Policy>
auto decided_model() {
  using OnHost = burrow::Policy<typename Policy::parameter, typename Policy::compute, Cpu>;
  const gopher::ModelSize extents{2, 16, 2, 8, 32, tokenizer().vocabulary(), 64};
  auto on_host = build(gopher::RunTimeGopher<OnHost>::make(extents), Key{1});
  for (auto& value : parameters(on_host).values())
    value = static_cast<typename Policy::parameter>(8 * static_cast<float>(value));
  on_host.output.bias.values()[static_cast<std::size_t>(tokenizer().eos())] =
      static_cast<typename Policy::parameter>(-1e9f);
  auto model = build(gopher::RunTimeGopher<Policy>::make(extents), Key{1});
  copy_parameters(on_host, model);
  return model;
}

/// The text that a model draws after a prompt.
template <class Model>
std::string continued(const Model& model, std::string_view prompt, Index count,
                      const gopher::SamplingOptions& options) {
  std::string text;
  gopher::continue_text(model, tokenizer(), prompt, count, options, Key{3},
                        [&](std::string_view piece) { text += piece; });
  return text;
}

template <template <class> class Policy>
void check_same_texts() {
  const auto on_host = decided_model<Policy<Cpu>>();
  const auto on_device = decided_model<Policy<Cuda>>();
  for (const std::string prompt : {"", "the gopher digs"}) {
    const std::string expected = continued(on_host, prompt, 12, {.greedy = true});
    CHECK(expected.size() >= 12);
    CHECK(continued(on_device, prompt, 12, {.greedy = true}) == expected);
    CHECK(continued(on_device, prompt, 6, {.top_k = 20}) == continued(on_host, prompt, 6, {.top_k = 20}));
  }
}

TEST_CASE("texts are continued on the device as on the CPU", "[cuda]") {
  check_same_texts<Float32>();
  check_same_texts<Bf16>();
}

TEST_CASE("decoding waits once for each token, and allocates nothing when warm", "[cuda]") {
  const auto model = decided_model<Float32<Cuda>>();
  const auto waits = [&](Index tokens) {
    const Index before = cuda::synchronizations();
    (void)continued(model, "the gopher", tokens, {.greedy = true});
    return cuda::synchronizations() - before;
  };
  const Index many = waits(6), few = waits(2);
  CHECK(many - few == 4);
  const Index allocations = memory_statistics<Cuda>().system_allocations;
  (void)waits(6);
  CHECK(memory_statistics<Cuda>().system_allocations == allocations);
}

/// Steps of two micro-batches and a smaller one, of which each step divides by another number of tokens in
/// its second half; what every step lost, and the norm of its gradient.
template <class Accumulate>
auto losses_of_micro_batches(const Accumulate& accumulate) {
  using Model = gopher::RunTimeGopher<Float32<Cuda>>;
  auto model = build(Model::make(size), Key{1});
  auto optimizer = Sharded{Adam{model, {.learning_rate = 1e-2}}, SelfCommunicator{}, {.stage = 0}};
  std::uint64_t number = 0;
  const auto next = [&] {
    const Shape<dyn, dyn> shape{{++number % 3 == 0 ? 1 : 2, 12}};
    const auto some = [&](std::uint64_t seed) {
      return gopher::Batch::Tokens(cast<std::int32_t>(uniform<Shape<dyn, dyn>>(Key{seed}, shape) * 40));
    };
    return gopher::Batch{some(number), some(number + 100)};
  };
  std::vector<double> result;
  Index waits = 0;
  for (Index step = 0; step < 6; ++step) {
    const float share = step < 4 ? 1.0f / 60 : 1.0f / 120;
    waits = cuda::synchronizations();
    result.push_back(accumulate(model, optimizer, Index{3}, next, share));
    waits = cuda::synchronizations() - waits;
    const auto gradient = optimizer.reduce();
    result.push_back(optimizer.norm(gradient));
    optimizer.step(model, gradient, {.gradient_factor = clip_factor(result.back(), 1.0)});
  }
  return std::pair{result, waits};
}

TEST_CASE("captured micro-batches have the bits of others, and wait once in a step", "[cuda]") {
  const auto [usual, many] =
      losses_of_micro_batches([](auto& model, auto& optimizer, Index count, const auto& next, float share) {
        double sum = 0;
        for (Index i = 0; i < count; ++i) {
          const auto batch = next();
          const auto inputs = to<Cuda>(batch.inputs), targets = to<Cuda>(batch.targets);
          sum += static_cast<double>(optimizer.accumulate(
              model, [&](Tape& tape) { return model.loss(tape.watch(inputs), targets).sum * share; }));
        }
        return sum;
      });
  gopher::CapturedPasses<Float32<Cuda>> passes;
  const auto [captured, one] =
      losses_of_micro_batches([&](auto&&... operands) { return passes.accumulate(operands...); });
  CHECK(captured == usual);
  CHECK(many == 3);
  CHECK(one == 1);
}

}  // namespace
