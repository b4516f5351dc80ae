// Operations and layers that are made of others work on the device because those do.
#include <catch2/catch.hpp>

#include <burrow/nn/clone.hpp>
#include <burrow/nn/mixture_of_experts.hpp>
#include <burrow/ops/einsum/einsum.hpp>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/mixture/cuda.cuh>
#include <burrow/ops/norm/norm.hpp>
#include <burrow/ops/softmax/cuda.cuh>
#include <burrow/ops/statistics/statistics.hpp>

#include "gradients.hpp"

namespace {

using namespace burrow;

TEST_CASE("contractions, statistics and norms", "[cuda]") {
  CHECK(all_distance([](const auto& a, const auto& b) { return einsum<"bij,bkj->bik">(a, b); },
                     random<2, 4, 6>(1), random<2, 3, 6>(2)) < 1e-5);
  const auto x = random<5, 24>(3);
  CHECK(all_distance([](const auto& a) { return variance<1>(a); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return norm<1>(a); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return max_norm<0>(a); }, x) < 1e-5);
}

template <class Policy>
using Mixture = SwitchMixture<Mlp<16, 8, Policy>, 16, 5, Policy>;

/// What a mixture computes of x on device D: the output, the loss with that of the balance, and the gradients
/// of x and of the parameters.
template <class Policy, class X>
auto routed(const Mixture<Float32<Cpu>>& on_host, const X& values) {
  using D = typename Policy::device;
  const Tensor x(cast<typename Policy::compute>(values));
  auto layer = build<Mixture<Policy>>(Key{1});
  copy_parameters(on_host, layer);
  layer.capacity_factor = on_host.capacity_factor;
  const auto output = [&](const auto& a) { return layer(a).output; };
  const auto on_device = to<D>(x);
  const auto [loss, gradient] = value_and_grad(layer, [&](Tape& tape) {
    const auto [y, balance] = layer(tape.watch(on_device));
    return sum(square(cast<float>(y) - 0.25f)) + balance * 0.5f;
  });
  const auto flat = std::as_const(gradient).values();
  Tensor<float, Shape<dyn>> parameters{Shape<dyn>{{static_cast<Index>(flat.size())}}};
  detail::copy_bytes(D{}, Cpu{}, parameters.data(), flat.data(), static_cast<Index>(flat.size_bytes()));
  return std::tuple{to<Cpu>(materialize(output(on_device))), full<Shape<1>>(static_cast<float>(loss)),
                    std::get<0>(gradients<D>(output, x)), parameters};
}

template <template <class> class Policy>
void check_same_routing(std::initializer_list<double> factors, double allowed) {
  auto layer = build<Mixture<Float32<Cpu>>>(Key{1});
  const auto x = random<3, 14, 16>(2);
  for (const double factor : factors) {
    layer.capacity_factor = factor;
    const auto expected = routed<Policy<Cpu>>(layer, x);
    const auto found = routed<Policy<Cuda>>(layer, x);
    INFO("capacity factor " << factor);
    CHECK(distance(std::get<0>(found), std::get<0>(expected)) <= allowed);
    CHECK(distance(std::get<1>(found), std::get<1>(expected)) <= allowed);
    CHECK(distance(std::get<2>(found), std::get<2>(expected)) <= allowed);
    CHECK(distance(std::get<3>(found), std::get<3>(expected)) <= allowed);
  }
}

TEST_CASE("a mixture of experts routes its tokens as on the CPU", "[cuda]") {
  check_same_routing<Float32>({10.0, 0.6}, 1e-5);
  check_same_routing<MixedBf16>({0.6}, 1e-2);
}

}  // namespace
