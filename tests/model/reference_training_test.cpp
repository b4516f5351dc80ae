// Training against a plain implementation that shares no code: the same parameters at first and the same data
// give the same losses, step by step, in every precision and on any number of threads.
#include <burrow/optim/adam.hpp>
#include <burrow/optim/clip.hpp>
#include <catch2/catch.hpp>

#include "gopher_model/model/gopher.hpp"
#include "tests/model/reference_gopher.hpp"
#include "tests/threads.hpp"
#include "tests/worse.hpp"

namespace gopher::reference_training_test {
namespace {

constexpr ModelSize size{
    .layers = 2, .width = 8, .heads = 2, .head_width = 6, .feed_forward = 12, .vocabulary = 11, .context = 7};
constexpr reference::Size plain_size{2, 8, 2, 6, 12, 11};
constexpr Index batch = 3;
constexpr int steps = 50;
constexpr AdamOptions adam_options{.beta2 = 0.95, .weight_decay = 0.1};

double rate(int step) { return 5e-3 * std::min(1.0, (step + 1) / 10.0); }

/// Sequences with something to learn: each token mostly follows from the one before.
std::vector<std::vector<int>> sequences(int step) {
  std::vector<std::vector<int>> all(batch);
  std::uint64_t draw = 0;
  const Key key = Key{21}.fold_in(static_cast<std::uint64_t>(step));
  for (auto& sequence : all) {
    int token = static_cast<int>(key.bits(draw++) % 11);
    for (Index t = 0; t <= size.context; ++t) {
      sequence.push_back(token);
      const std::uint32_t bits = key.bits(draw++);
      token =
          static_cast<int>(bits % 4 == 0 ? bits / 4 % 11 : static_cast<std::uint32_t>(3 * token + 1) % 11);
    }
  }
  return all;
}

/// The parameters at first: gains and biases are not all alike.
template <class Model>
Model first_model() {
  auto model = build<Model>(Key{22});
  const auto values = parameters(model).values();
  using P = typename decltype(values)::element_type;
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<P>(static_cast<float>(values[i]) + 0.1f * Key{23}.normal(i));
  return model;
}

/// The losses of the plain implementation from the model's parameters on.
std::vector<double> plain_losses(std::vector<double> values) {
  reference::AdamW adam{adam_options.beta1, adam_options.beta2, adam_options.epsilon,
                        adam_options.weight_decay};
  std::vector<double> gradient, losses;
  for (int step = 0; step < steps; ++step) {
    auto tokens = sequences(step), targets = tokens;
    for (auto& row : tokens) row.pop_back();
    for (auto& row : targets) row.erase(row.begin());
    losses.push_back(reference::loss_and_gradient(plain_size, values, tokens, targets, gradient));
    adam.step(values, gradient, rate(step));
  }
  return losses;
}

template <class Model>
std::vector<double> losses_of(Model model, int count, const AdamOptions& options = adam_options) {
  Adam<Model> optimizer{model, options};
  Gradient gradient{model};
  std::vector<double> losses;
  for (int step = 0; step < count; ++step) {
    const auto rows = sequences(step);
    Tensor<std::int32_t, Shape<dyn, dyn>> in{Shape<dyn, dyn>{{batch, size.context}}}, out{in.shape()};
    for (Index i = 0; i < in.size(); ++i) {
      const auto& row = rows[static_cast<std::size_t>(i / size.context)];
      in.data()[i] = row[static_cast<std::size_t>(i % size.context)];
      out.data()[i] = row[static_cast<std::size_t>(i % size.context + 1)];
    }
    gradient.clear();
    losses.push_back(static_cast<double>(accumulate_gradient(model, gradient, [&](Tape& tape) {
      return model.loss(tape.watch(std::as_const(in)), out).sum * (1.0f / (batch * size.context));
    })));
    const double norm = global_norm(std::as_const(gradient).values());
    optimizer.step(model, gradient, {.learning_rate = rate(step), .gradient_factor = clip_factor(norm, 1)});
  }
  return losses;
}

double largest_relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = worse(worst, std::abs(a[i] / b[i] - 1));
  return worst;
}

template <class Model>
std::vector<double> first_values() {
  const auto model = first_model<Model>();
  const auto values = parameters(model).values();
  return std::vector<double>(values.begin(), values.end());
}

using Exact = Gopher<size, Float32<Cpu>>;
using Mixed = Gopher<size, MixedBf16<Cpu>>;
using Short = Gopher<size, Bf16<Cpu>>;

TEST_CASE("fifty steps in fp32 have the losses of a plain implementation") {
  const auto expected = plain_losses(first_values<Exact>());
  CHECK(expected.front() == Approx(std::log(11.0)).epsilon(0.1));
  CHECK(expected.back() < 0.85 * expected.front());
  CHECK(largest_relative_difference(losses_of(first_model<Exact>(), steps), expected) < 1e-4);
}

TEST_CASE("fifty steps in bf16 stay near a plain implementation, whatever parameters are stored in") {
  const auto expected = plain_losses(first_values<Exact>());
  CHECK(largest_relative_difference(losses_of(first_model<Mixed>(), steps), expected) < 0.02);
  AdamOptions options = adam_options;
  CHECK(largest_relative_difference(losses_of(first_model<Short>(), steps, options), expected) < 0.02);
  options.bf16_update = Bf16Update::stochastic;
  CHECK(largest_relative_difference(losses_of(first_model<Short>(), steps, options), expected) < 0.05);
}

TEST_CASE("one and two threads train alike") {
  const Threads scope{1};
  const auto one = losses_of(first_model<Exact>(), 10);
  set_threads(2);
  CHECK(largest_relative_difference(losses_of(first_model<Exact>(), 10), one) < 1e-5);
}

}  // namespace
}  // namespace gopher::reference_training_test
