// Layers of attention train and decode on the device as on the CPU.
#include <catch2/catch.hpp>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/attention.hpp>
#include <burrow/ops/attention/cuda.cuh>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/rotary/cuda.cuh>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/cuda.cuh>

#include "tests/cuda/close.hpp"

namespace {

using namespace burrow;

template <class D>
using Relative = RelativeAttention<24, 3, 8, Float32<D>>;
template <class D>
using Rotary = GroupedQueryAttention<24, 6, 2, RotaryEmbedding, Float32<D>>;

/// The losses of some steps with one batch.
template <template <class> class Layer, class D>
std::vector<float> losses() {
  auto layer = build<Layer<D>>(Key{0});
  auto optimizer = Adam{layer, {.learning_rate = 1e-2}};
  const auto x = to<D>(normal<Shape<2, 9, 24>>(Key{1})), y = to<D>(normal<Shape<2, 9, 24>>(Key{2}));
  std::vector<float> result;
  for (int step = 0; step < 4; ++step) {
    const auto [loss, gradient] =
        value_and_grad(layer, [&](Tape& tape) { return mean(square(layer(tape.watch(x)) - y)); });
    optimizer.step(layer, gradient);
    result.push_back(static_cast<float>(loss));
  }
  return result;
}

template <template <class> class Layer>
void trains_as_on_the_cpu() {
  const auto expected = losses<Layer, Cpu>(), found = losses<Layer, Cuda>();
  CHECK(found.back() < found.front());
  for (std::size_t step = 0; step < found.size(); ++step)
    CHECK(found[step] == Approx(expected[step]).epsilon(1e-4));
}

template <class D>
Tensor<float, Shape<1, dyn, 24>, D> tokens(Index first, Index count) {
  const auto all = normal<Shape<1, 9, 24>>(Key{3});
  Tensor<float, Shape<1, dyn, 24>> some{Shape<1, dyn, 24>{{1, count, 24}}};
  std::copy_n(std::as_const(all).data() + first * 24, count * 24, some.data());
  return to<D>(some);
}

/// A prompt and then one token at a time, through a cache.
template <template <class> class Layer>
void decodes_as_on_the_cpu() {
  const auto layer = build<Layer<Cuda>>(Key{0});
  const auto expected = build<Layer<Cpu>>(Key{0})(tokens<Cpu>(0, 9));
  auto cache = layer.cache(9);
  CHECK(distance(layer(tokens<Cuda>(0, 6), cache), layer(tokens<Cuda>(0, 6))) < 1e-5);
  for (Index t = 6; t < 9; ++t) {
    const auto next = to<Cpu>(layer(tokens<Cuda>(t, 1), cache));
    Tensor<float, Shape<1, dyn, 24>> of_token{Shape<1, dyn, 24>{{1, 1, 24}}};
    std::copy_n(std::as_const(expected).data() + t * 24, 24, of_token.data());
    CHECK(distance(next, of_token) < 1e-5);
  }
}

}  // namespace

TEST_CASE("a layer of relative attention trains and decodes on the device", "[attention]") {
  trains_as_on_the_cpu<Relative>();
  decodes_as_on_the_cpu<Relative>();
}

TEST_CASE("shared heads with rotary positions train and decode on the device", "[attention]") {
  trains_as_on_the_cpu<Rotary>();
  decodes_as_on_the_cpu<Rotary>();
}
