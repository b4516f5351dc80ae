// A network with matrix products trains on the device as on the CPU, from one source.
#include <catch2/catch.hpp>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/cuda.cuh>

#include "tests/cuda/close.hpp"

namespace {

using namespace burrow;

template <class Policy>
struct Network {
  Linear<6, 20, Policy> up;
  Linear<20, 3, Policy> down;
  auto operator()(const auto& x) const { return down(gelu(up(x))); }
};

/// The losses of some steps, and the peak of the host's waits in one of them.
template <class Policy>
auto losses(int steps) {
  using D = typename Policy::device;
  using C = typename Policy::compute;
  auto model = build<Network<Policy>>(Key{0});
  auto optimizer = Adam{model, {.learning_rate = 1e-2}};
  const auto x = to<D>(Tensor(cast<C>(normal<Shape<32, 6>>(Key{1}))));
  const auto y = to<D>(Tensor(cast<C>(normal<Shape<32, 3>>(Key{2}))));
  Tensor<float, Shape<dyn>> result{Shape<dyn>{{steps}}};
  for (int step = 0; step < steps; ++step) {
    const auto [loss, gradient] =
        value_and_grad(model, [&](Tape& tape) { return mean(square(model(tape.watch(x)) - y)); });
    optimizer.step(model, gradient);
    result(step) = static_cast<float>(loss);
  }
  return result;
}

TEST_CASE("a network trains on the device as on the CPU", "[cuda]") {
  const auto expected = losses<Float32<Cpu>>(12);
  const auto found = losses<Float32<Cuda>>(12);
  CHECK(distance(found, expected) < 1e-5);
  CHECK(found(11) < 0.9f * found(0));
  CHECK(distance(losses<MixedBf16<Cuda>>(5), losses<MixedBf16<Cpu>>(5)) < 1e-2);
}

TEST_CASE("a warm step allocates nothing and waits for its loss alone", "[cuda]") {
  (void)losses<Float32<Cuda>>(3);
  const Index allocations = memory_statistics<Cuda>().system_allocations, waits = cuda::synchronizations();
  (void)losses<Float32<Cuda>>(3);
  CHECK(memory_statistics<Cuda>().system_allocations == allocations);
  CHECK(cuda::synchronizations() - waits == 3);
}

}  // namespace
