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

#include "tests/cuda/gradients.hpp"

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

/// What a feed-forward block gives on device D.
template <class Y, class Parameters>
struct FeedForwardResults {
  Y y, dx;
  Parameters gradient;
  Y plain;     ///< y where nothing is traced
  Index kept;  ///< bytes that wait for the backward pass
};

/// Value and gradients of a feed-forward block on device D, inputs traced as well; and what it computes where
/// nothing is.
template <class Policy, Index Width, Index Hidden>
auto feed_forward_results(bool recompute = true) {
  using D = typename Policy::device;
  using C = typename Policy::compute;
  auto model = build<Mlp<Width, Hidden, Policy>>(Key{1});
  const auto x = to<D>(Tensor(cast<C>(random<3, 5, Width>(2))));
  const auto seed = to<D>(random<3, 5, Width>(3));
  const auto plain = to<Cpu>(model(x));
  Gradient gradient{model};
  Tape tape;
  tape.differentiate(parameters(model).store(), gradient.values().data());
  tape.recompute_values(recompute);
  const auto watched = tape.watch(x);
  const Index before = memory_statistics<D>().bytes_in_use;
  const auto y = materialize(model(watched));
  const Index kept = memory_statistics<D>().bytes_in_use - before;
  tape.backward(materialize(sum(cast<float>(y) * seed)));
  Tensor<typename Gradient<Mlp<Width, Hidden, Policy>>::element, Shape<dyn>, D> flat{
      Shape<dyn>{{static_cast<Index>(gradient.values().size())}}};
  detail::copy_bytes(D{}, D{}, flat.data(), gradient.values().data(),
                     static_cast<Index>(gradient.values().size_bytes()));
  const auto on_host = to<Cpu>(flat);
  return FeedForwardResults<std::remove_const_t<decltype(plain)>, std::remove_const_t<decltype(on_host)>>{
      to<Cpu>(y.value()), to<Cpu>(tape.gradient(watched)), on_host, plain, kept};
}

template <template <class> class Policy, Index Width, Index Hidden>
double feed_forward_distance() {
  const auto found = feed_forward_results<Policy<Cuda>, Width, Hidden>();
  const auto expected = feed_forward_results<Policy<Cpu>, Width, Hidden>();
  return std::max({distance(found.y, expected.y), distance(found.dx, expected.dx),
                   distance(found.gradient, expected.gradient), distance(found.plain, expected.plain)});
}

/// How many products the library makes with a GELU, and with the gradient of a bias, while f runs; none of
/// them on a GPU, where nobody counts.
template <class F>
std::pair<int, int> fused_products(const F& f) {
#if defined(BURROW_CUDA_EMULATED)
  const int gelu = emulator::gelu_products, sums = emulator::summing_products;
  f();
  return {emulator::gelu_products - gelu, emulator::summing_products - sums};
#else
  f();
  return {};
#endif
}
#if defined(BURROW_CUDA_EMULATED)
inline constexpr bool counted = true;
#else
inline constexpr bool counted = false;
#endif

TEST_CASE("a feed-forward block, its GELU and the gradients of its biases in the products", "[cuda]") {
  const auto all = fused_products([] {
    CHECK(feed_forward_distance<Float32, 8, 16>() < 1e-5);
    CHECK(feed_forward_distance<MixedBf16, 8, 16>() < 2e-2);
  });
  CHECK((!counted || all == std::pair{6, 4}));
  const auto sums = fused_products([] { CHECK(feed_forward_distance<Float32, 6, 10>() < 1e-5); });
  CHECK((!counted || sums == std::pair{0, 2}));
  const auto none = fused_products([] { CHECK(feed_forward_distance<Float64, 8, 16>() < 1e-12); });
  CHECK((!counted || none == std::pair{0, 0}));
}

/// Gradients of x, of the weights and of the bias of a linear map on device D, whose weights are a transposed
/// view and may be trained.
template <class D, bool Trained>
auto linear_gradients() {
  Tape tape;
  const auto x = tape.watch(to<D>(random<3, 5, 6>(1)));
  const auto w = to<D>(random<4, 6>(2));
  const auto bias = tape.watch(to<D>(random<4>(3)));
  const auto seed = to<D>(random<3, 5, 4>(4));
  const auto stored = tape.watch(w);
  const auto y = [&] {
    if constexpr (Trained)
      return linear(x, transpose(stored), bias);
    else
      return linear(x, transpose(w), bias);
  }();
  tape.backward(materialize(sum(y * seed)));
  return std::tuple{to<Cpu>(tape.gradient(x)), to<Cpu>(tape.gradient(stored)), to<Cpu>(tape.gradient(bias))};
}
template <bool Trained>
double linear_distance() {
  const auto found = linear_gradients<Cuda, Trained>();
  const auto expected = linear_gradients<Cpu, Trained>();
  return std::max({distance(std::get<0>(found), std::get<0>(expected)),
                   distance(std::get<1>(found), std::get<1>(expected)),
                   distance(std::get<2>(found), std::get<2>(expected))});
}

TEST_CASE("the gradient of a bias is summed beside that of the weights, where these have one", "[cuda]") {
  const auto trained = fused_products([] { CHECK(linear_distance<true>() < 1e-5); });
  CHECK((!counted || trained == std::pair{0, 1}));
  const auto frozen = fused_products([] { CHECK(linear_distance<false>() < 1e-5); });
  CHECK((!counted || frozen == std::pair{0, 0}));
}

TEST_CASE("a feed-forward block keeps its hidden layer once, or twice where nothing is computed again",
          "[cuda]") {
  constexpr Index hidden_bytes = 3 * 5 * 16 * Index{sizeof(float)}, result_bytes = hidden_bytes / 2;
  const auto once = feed_forward_results<Float32<Cuda>, 8, 16>(true),
             twice = feed_forward_results<Float32<Cuda>, 8, 16>(false);
  CHECK(once.kept < result_bytes + hidden_bytes * 3 / 2);
  CHECK(twice.kept >= once.kept + hidden_bytes);
  CHECK(distance(twice.gradient, once.gradient) < 1e-5);
}

}  // namespace
