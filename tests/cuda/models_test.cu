// Models, optimizers and files on the device: the same source as on the CPU, with the device changed.
#include <catch2/catch.hpp>

#include <filesystem>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/io/model.hpp>
#include <burrow/nn/clone.hpp>
#include <burrow/nn/module.hpp>
#include <burrow/ops/dropout/cuda.cuh>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/cuda.cuh>
#include <burrow/optim/lion.hpp>
#include <burrow/optim/rms_prop.hpp>
#include <burrow/optim/sgd.hpp>

#include "tests/cuda/close.hpp"

namespace {

using namespace burrow;

/// A model without matrix products: y = tanh(x g + b) c.
template <class Policy>
struct Scaled {
  Parameter<typename Policy::parameter, Shape<12>, typename Policy::device> gain{init::normal(1)},
      bias{init::uniform(1)};
  Parameter<typename Policy::parameter, Shape<>, typename Policy::device> scale{init::ones};

  auto operator()(const auto& x) const { return tanh(x * gain + bias) * scale; }
};

/// The values of a model's flat parameters on the host, as floats.
template <class Model>
Tensor<float, Shape<dyn>> values(const Model& model) {
  const auto flat = parameters(model).values();
  using T = std::remove_const_t<typename decltype(flat)::element_type>;
  const detail::HostValues<T> held{detail::memory_of(model), flat};
  held.get();
  Tensor<float, Shape<dyn>> result{Shape<dyn>{{static_cast<Index>(flat.size())}}};
  for (Index i = 0; i < result.size(); ++i) result(i) = static_cast<float>(held.data()[i]);
  return result;
}

/// The parameters after some steps on device D, and the last loss.
template <class Policy, class MakeOptimizer>
auto trained(const MakeOptimizer& make, int steps) {
  using D = typename Policy::device;
  auto model = build<Scaled<Policy>>(Key{3});
  auto optimizer = make(model);
  const auto x = to<D>(normal<Shape<40, 12>>(Key{1})), y = to<D>(normal<Shape<40, 12>>(Key{2}));
  float last = 0;
  for (int step = 0; step < steps; ++step) {
    const auto [loss, gradient] =
        value_and_grad(model, [&](Tape& tape) { return mean(square(model(tape.watch(x)) - y)); });
    const double norm = global_norm<D>(gradient.values());
    optimizer.step(model, gradient, {.learning_rate = 0.05, .gradient_factor = clip_factor(norm, 0.5)});
    last = static_cast<float>(loss);
  }
  return std::pair{values(model), last};
}

template <template <class> class Policy, class MakeOptimizer>
void check_same_training(const MakeOptimizer& make, double tolerance) {
  const auto [expected, expected_loss] = trained<Policy<Cpu>>(make, 5);
  const auto [found, loss] = trained<Policy<Cuda>>(make, 5);
  CHECK(distance(found, expected) <= tolerance);
  CHECK(loss == Approx(expected_loss).epsilon(1e-5));
}

TEST_CASE("a model is built with the CPU's bits", "[cuda]") {
  const auto on_host = build<Scaled<Float32<Cpu>>>(Key{3});
  const auto on_device = build<Scaled<Float32<Cuda>>>(Key{3});
  CHECK(distance(values(on_device), values(on_host)) == 0);
}

TEST_CASE("models are copied from device to device", "[cuda]") {
  const auto model = build<Scaled<Float32<Cpu>>>(Key{4});
  auto on_device = to<Scaled<Float32<Cuda>>>(model);
  const auto copy = clone(on_device);
  CHECK(distance(values(copy), values(model)) == 0);
  copy_parameters(build<Scaled<Float32<Cpu>>>(Key{5}), on_device);
  CHECK(distance(values(copy), values(model)) == 0);
  CHECK(distance(values(to<Scaled<Float32<Cpu>>>(on_device)), values(build<Scaled<Float32<Cpu>>>(Key{5}))) ==
        0);
}

TEST_CASE("a model on the device is saved and loaded", "[cuda]") {
  const auto path = std::filesystem::temp_directory_path() / "burrow_cuda_model.safetensors";
  const auto model = build<Scaled<MixedBf16<Cuda>>>(Key{6});
  save(path, model);
  auto on_host = build<Scaled<MixedBf16<Cpu>>>(Key{7});
  load(path, on_host);
  CHECK(distance(values(on_host), values(model)) == 0);
  auto on_device = build<Scaled<MixedBf16<Cuda>>>(Key{8});
  load(path, on_device);
  CHECK(distance(values(on_device), values(model)) == 0);
  std::filesystem::remove(path);
}

TEST_CASE("optimizers train on the device as on the CPU", "[cuda]") {
  check_same_training<Float32>([](const auto& m) { return Adam{m, {.weight_decay = 0.1}}; }, 1e-5);
  check_same_training<Float32>(
      [](const auto& m) {
        return Adam{m, {.weight_decay = 0.1}, decay_matrices_only(m)};
      },
      1e-5);
  check_same_training<Float32>([](const auto& m) { return Sgd{m}; }, 1e-5);
  check_same_training<Float32>(
      [](const auto& m) {
        return Sgd{m, {.momentum = 0.9, .nesterov = true}};
      },
      1e-5);
  check_same_training<Float32>([](const auto& m) { return RmsProp{m}; }, 1e-5);
  check_same_training<Float64>([](const auto& m) { return AdaGrad{m}; }, 1e-5);
  check_same_training<Float32>([](const auto& m) { return Lion{m}; }, 1e-5);
}

TEST_CASE("bf16 parameters are updated from a copy, or rounded with the CPU's random bits", "[cuda]") {
  check_same_training<Bf16>([](const auto& m) { return Adam{m}; }, 1e-2);
  check_same_training<Bf16>(
      [](const auto& m) {
        return Adam{m, {.bf16_update = Bf16Update::stochastic, .key = Key{9}}};
      },
      1e-2);
}

TEST_CASE("one update of bf16 parameters has the CPU's bits, wherever the slice begins", "[cuda]") {
  constexpr std::size_t count = 77;
  const Tensor<bf16, Shape<count>> start(cast<bf16>(normal<Shape<count>>(Key{1})));
  const auto gradient = normal<Shape<count>>(Key{2});
  const auto device_gradient = to<Cuda>(gradient);
  const AdamOptions options{.learning_rate = 0.1, .bf16_update = Bf16Update::stochastic, .key = Key{5}};
  for (const std::size_t skipped : {0u, 3u}) {
    const auto first = static_cast<Index>(skipped);
    auto expected = start;
    const auto host = expected.values().subspan(skipped);
    AdamSlice<bf16> adam{host, first, options};
    adam.step(host, std::as_const(gradient).values().subspan(skipped));

    auto found = to<Cuda>(start);
    const std::span<bf16> parameters{found.data() + skipped, count - skipped};
    AdamSlice<bf16, Cuda> device_adam{parameters, first, options};
    device_adam.step(parameters, std::span<const float>{device_gradient.data() + skipped, count - skipped});
    CHECK(distance(found, expected) <= one_rounding);
  }
}

TEST_CASE("dropout drops the CPU's elements", "[cuda]") {
  const auto x = normal<Shape<7, 9>>(Key{1});
  CHECK(distance(dropout(to<Cuda>(x), Key{2}, 0.3), dropout(x, Key{2}, 0.3)) == 0);
}

}  // namespace
