// A small Gopher trains on the device as on the CPU: every operation of the language model together.
#include <catch2/catch.hpp>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/attention/cuda.cuh>
#include <burrow/ops/gather/cuda.cuh>
#include <burrow/ops/linear_cross_entropy/cuda.cuh>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/rms_norm/cuda.cuh>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/cuda.cuh>

#include "close.hpp"
#include "gopher_model/model/gopher.hpp"

namespace {

using namespace burrow;

constexpr gopher::ModelSize size{2, 16, 2, 8, 32, 40, 12};

Tensor<std::int32_t, Shape<2, 12>> tokens(std::uint64_t seed) {
  return Tensor(cast<std::int32_t>(uniform<Shape<2, 12>>(Key{seed}) * 40));
}

/// The losses of some steps on device D, with the norms of their gradients.
template <class Policy>
auto steps(bool rematerialize) {
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
  const auto expected = steps<Float32<Cpu>>(false);
  CHECK(expected(2, 0) < expected(0, 0));
  CHECK(distance(steps<Float32<Cuda>>(false), expected) < 1e-5);
  CHECK(distance(steps<Float32<Cuda>>(true), expected) < 1e-5);
}

}  // namespace
