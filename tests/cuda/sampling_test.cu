// Tokens drawn on the device are those drawn on the CPU.
#include <catch2/catch.hpp>

#include <burrow/tensor/cuda.cuh>

#include "gopher_model/generation/sampling.cuh"

namespace {

using namespace burrow;
using gopher::sample_token;
using gopher::SamplingOptions;

/// What both devices say: a token, or the message of an error.
template <class S>
std::array<std::string, 2> on_both(const Tensor<float, S>& logits, const SamplingOptions& options,
                                   std::uint64_t position) {
  const auto said = [&](const auto& on_device) -> std::string {
    try {
      return std::to_string(sample_token(on_device, options, Key{3}, position));
    } catch (const ValueError& error) {
      return error.what();
    }
  };
  return {said(logits), said(to<Cuda>(logits))};
}

TEST_CASE("tokens are drawn by every rule as on the CPU", "[cuda]") {
  const SamplingOptions rules[] = {{},
                                   {.temperature = 0.3},
                                   {.top_k = 7},
                                   {.top_p = 0.8},
                                   {.temperature = 2, .top_k = 600, .top_p = 0.5},
                                   {.top_k = 5000, .top_p = 0.999},
                                   {.greedy = true}};
  for (const Index count : {1, 33, 1500}) {
    Tensor logits = normal<Shape<dyn>>(Key{1}, Shape<dyn>{{count}}) * 3;
    for (Index i = 0; i < count; i += 5) logits(i) = logits(count / 2);  // equals rank by index
    if (count > 9) logits(9) = -INFINITY;
    for (const auto& options : rules)
      for (std::uint64_t position = 0; position < 6; ++position) {
        const auto [host, device] = on_both(logits, options, position);
        INFO(count << " logits, top_k " << options.top_k << ", top_p " << options.top_p);
        CHECK(device == host);
      }
  }
}

TEST_CASE("logits without probabilities are refused on the device in the same words", "[cuda]") {
  const auto refused = [](const auto& logits, const SamplingOptions& options = {}) {
    const auto [host, device] = on_both(logits, options, 0);
    CHECK(device == host);
    CHECK(host.find("sample_token: ") == 0);
  };
  refused(Tensor<float, Shape<3>>{1, NAN, INFINITY});
  refused(Tensor<float, Shape<3>>{1, INFINITY, NAN}, {.greedy = true});
  refused(Tensor<float, Shape<2>>{-INFINITY, -INFINITY});
  refused(Tensor<float, Shape<2>>{1, 2}, {.temperature = 0});
}

}  // namespace
