// BatchNorm with its running statistics, and GroupNorm.
#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/io/model.hpp>
#include <burrow/nn/batch_norm.hpp>
#include <burrow/nn/clone.hpp>
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/dropout.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>

#include "tests/io/temporary_directory.hpp"
#include "tests/ops/compare.hpp"

using namespace ops_test;

namespace {

using Norm = BatchNorm<3, Float64<Cpu>>;

/// Features of mean 0 and variance 1 over the rows.
template <class X>
double distance_from_standard(const X& x) {
  const auto rows = reshape(x, Shape<dyn, 3>{{x.size() / 3, 3}});
  return std::max(max(abs(mean<0>(rows))).item(), max(abs(variance<0>(rows) - 1)).item());
}

}  // namespace

TEST_CASE("BatchNorm standardises a batch, and later batches by what it remembers") {
  auto norm = build<Norm>(Key{0});
  norm.epsilon = 0;
  const auto x = Tensor(random<double>(1, Shape<4, 5, 3>{}) * 3 + 2);
  BatchStatistics statistics;
  CHECK(distance_from_standard(Tensor(norm(x, statistics))) < 1e-12);
  CHECK(norm.running_mean.values()[0] == 0);
  statistics.update(1);
  const auto rows = reshape<Shape<20, 3>>(x);
  CHECK(norm.running_mean.values()[2] == Approx(mean<0>(rows)(2)));
  CHECK(norm.running_variance.values()[1] == Approx(variance<0>(rows, Correction{1})(1)));
  const auto later = Tensor(norm(x));
  CHECK(distance_from_standard(later) == Approx(0.05).margin(1e-9));  // 1 - 19/20
  statistics.update();                                                // nothing was found since
  CHECK(norm.running_mean.values()[2] == Approx(mean<0>(rows)(2)));
}

TEST_CASE("The gradient of BatchNorm flows through the batch's statistics, not through the running ones") {
  const auto norm = build<Norm>(Key{0});
  const auto x = random<double>(2, Shape<2, 4, 3>{});
  check_gradient([&](const auto& a) { return norm(sin(a), BatchStatistics{}); }, x);
  check_gradient([&](const auto& a) { return norm(a); }, x);
  const auto [loss, gradient] = value_and_grad(norm, [&](Tape& tape) {
    return sum(square(norm(tape.watch(x), BatchStatistics{}) - 1)) + sum(norm(tape.watch(x)));
  });
  CHECK(gradient.of(norm.gain)[0] != 0);
  CHECK(gradient.of(norm.running_mean)[0] == 0);
}

TEST_CASE("Running statistics are saved and cloned, and not trained") {
  auto model = build<Sequential<Linear<3, 3, Float64<Cpu>>, Norm, Dropout>>(Key{0});
  auto optimizer = Adam{model, {.learning_rate = 0.1, .weight_decay = 0.5}};
  BatchStatistics statistics;
  const auto x = random<double>(3, Shape<8, 3>{});
  const auto [loss, gradient] = value_and_grad(
      model, [&](Tape& tape) { return mean(square(model(tape.watch(x), Key{4}, statistics))); });
  statistics.update();
  const auto& norm = model.rest.first;
  const std::vector<double> before(norm.running_variance.values().begin(),
                                   norm.running_variance.values().end());
  CHECK(before[0] != 1);
  optimizer.step(model, gradient);
  CHECK(std::ranges::equal(before, norm.running_variance.values()));
  CHECK(norm.gain.values()[0] != 1);

  const auto copy = clone(model);
  CHECK(std::ranges::equal(before, copy.rest.first.running_variance.values()));
  const TemporaryDirectory directory;
  save(directory / "model.safetensors", model);
  auto loaded = build<Sequential<Linear<3, 3, Float64<Cpu>>, Norm, Dropout>>(Key{5});
  load(directory / "model.safetensors", loaded);
  CHECK(same_bits(Tensor(loaded(x)), Tensor(model(x))));
}

TEST_CASE("A rematerialised batch norm is remembered once") {
  const auto layer = build<Remat<Sequential<Linear<3, 3, Float64<Cpu>>, Norm>>>(Key{0});
  BatchStatistics statistics;
  const auto x = random<double>(6, Shape<8, 3>{});
  const auto [loss, gradient] =
      value_and_grad(layer, [&](Tape& tape) { return sum(square(layer(tape.watch(x), statistics))); });
  statistics.update(0.5);
  const auto expected = mean<0>(Tensor(layer.inner.first(x)));
  CHECK(layer.inner.rest.last.running_mean.values()[1] == Approx(expected(1) / 2));
}

TEST_CASE("GroupNorm standardises groups of features of each item") {
  auto norm = build<GroupNorm<4, 2, Float64<Cpu>>>(Key{0});
  norm.epsilon = 0;
  const auto x = random<double>(7, Shape<2, 3, 2, 4>{});
  const auto y = Tensor(norm(x));
  static_assert(std::same_as<shape_of<decltype(y)>, Shape<2, 3, 2, 4>>);
  const auto groups = reshape<Shape<2, 6, 2, 2>>(y);
  CHECK(max(abs(mean<1, 3>(groups))).item() < 1e-12);
  CHECK(max(abs(variance<1, 3>(groups) - 1)).item() < 1e-12);
  check_gradient([&](const auto& a) { return norm(exp(a)); }, x);
  check_gradient([&](const auto& a) { return norm(a); }, random<double>(8, Shape<dyn, 4>{{3, 4}}));
  const auto narrow = build<GroupNorm<4, 1>>(Key{0});
  static_assert(std::same_as<element_of<decltype(narrow(cast<bf16>(x)))>, bf16>);
}
