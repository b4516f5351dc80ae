// Operations and layers that are made of others work on the device because those do.
#include <catch2/catch.hpp>

#include <burrow/nn/clone.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/nn/mixture_of_experts.hpp>
#include <burrow/nn/module.hpp>
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

/// Value and gradients of a feed-forward block on device D, inputs traced as well; and what it computes where
/// nothing is.
template <class Policy, Index Width, Index Hidden>
auto feed_forward_results() {
  using D = typename Policy::device;
  using C = typename Policy::compute;
  auto model = build<Mlp<Width, Hidden, Policy>>(Key{1});
  const auto x = to<D>(Tensor(cast<C>(random<3, 5, Width>(2))));
  const auto seed = to<D>(random<3, 5, Width>(3));
  const auto plain = to<Cpu>(model(x));
  Gradient gradient{model};
  Tape tape;
  tape.differentiate(parameters(model).store(), gradient.values().data());
  const auto watched = tape.watch(x);
  const auto y = materialize(model(watched));
  tape.backward(materialize(sum(cast<float>(y) * seed)));
  Tensor<typename Gradient<Mlp<Width, Hidden, Policy>>::element, Shape<dyn>, D> flat{
      Shape<dyn>{{static_cast<Index>(gradient.values().size())}}};
  detail::copy_bytes(D{}, D{}, flat.data(), gradient.values().data(),
                     static_cast<Index>(gradient.values().size_bytes()));
  return std::tuple{to<Cpu>(y.value()), to<Cpu>(tape.gradient(watched)), to<Cpu>(flat), plain};
}

template <template <class> class Policy, Index Width, Index Hidden>
double feed_forward_distance() {
  const auto [y, dx, gradient, plain] = feed_forward_results<Policy<Cuda>, Width, Hidden>();
  const auto [expected_y, expected_dx, expected, expected_plain] =
      feed_forward_results<Policy<Cpu>, Width, Hidden>();
  return std::max({distance(y, expected_y), distance(dx, expected_dx), distance(gradient, expected),
                   distance(plain, expected_plain)});
}

TEST_CASE("a feed-forward block, its GELU in the products where the library has that", "[cuda]") {
#if defined(BURROW_CUDA_EMULATED)
  const int before = emulator::gelu_products;
#endif
  CHECK(feed_forward_distance<Float32, 8, 16>() < 1e-5);
  CHECK(feed_forward_distance<MixedBf16, 8, 16>() < 2e-2);
#if defined(BURROW_CUDA_EMULATED)
  CHECK(emulator::gelu_products == before + 6);
#endif
  CHECK(feed_forward_distance<Float32, 6, 10>() < 1e-5);
  CHECK(feed_forward_distance<Float64, 8, 16>() < 1e-12);
#if defined(BURROW_CUDA_EMULATED)
  CHECK(emulator::gelu_products == before + 6);
#endif
}

}  // namespace
