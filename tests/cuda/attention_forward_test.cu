// Attention on the device against the CPU's: outputs.
#include <catch2/catch.hpp>

#include "tests/cuda/attention_operands.hpp"

using namespace attention_test;

namespace {

/// A and its logarithms of sums on the host and on the device.
template <class T>
void agrees(const AttentionExtents& e, Bias bias, double allowed) {
  CAPTURE(dtype_name<T>(), e.batch, e.queries, e.keys, e.heads, e.head_width, e.key_heads, bias);
  const Operands<T> x{e, bias};
  Array<T> out{x.q.size()};
  Array<compute_type<T>> log_sums{e.batch * e.heads * e.queries};
  attention_forward(Cpu{}, e, x.on_host(), out.host(), log_sums.host());
  attention_forward(Cuda{}, e, x.on_device(), out.device(), log_sums.device());
  CHECK(distance(out.downloaded(), out.values()) <= allowed);
  CHECK(distance(log_sums.downloaded(), log_sums.values()) <= allowed);
}

}  // namespace

TEST_CASE("attention of double on the device agrees with the CPU's", "[attention]") {
  for (const Bias bias : {Bias::none, Bias::linear, Bias::relative}) {
    agrees<double>({2, 9, 12, 3, 5, 3}, bias, 1e-13);
    agrees<double>({1, 20, 20, 1, 40, 1}, bias, 1e-13);
  }
  agrees<double>({2, 7, 7, 6, 4, 2}, Bias::none, 1e-13);
}

TEMPLATE_TEST_CASE("attention in tiles on the device agrees with the CPU's", "[attention]", float, bf16,
                   half) {
  const double allowed = std::same_as<TestType, float> ? 1e-5 : std::same_as<TestType, bf16> ? 2e-2 : 3e-3;
  for (const Bias bias : {Bias::none, Bias::linear, Bias::relative}) {
    agrees<TestType>({1, 70, 70, 1, 32, 1}, bias, allowed);
    agrees<TestType>({2, 40, 105, 2, 16, 2}, bias, allowed);
  }
  agrees<TestType>({1, 65, 70, 1, 64, 1}, Bias::relative, allowed);
  agrees<TestType>({1, 5, 140, 2, 7, 2}, Bias::relative, allowed);
  agrees<TestType>({1, 33, 40, 1, 128, 1}, Bias::relative, allowed);
  agrees<TestType>({1, 66, 70, 4, 24, 2}, Bias::none, allowed);
  agrees<TestType>({1, 6, 6, 1, 3, 1}, Bias::relative, allowed);
}

TEMPLATE_TEST_CASE("few queries after many keys on the device agree with the CPU's", "[attention]", float,
                   bf16) {
  const double allowed = std::same_as<TestType, float> ? 1e-5 : 2e-2;
  for (const Index queries : {1, 2, 3, 4})
    for (const Bias bias : {Bias::none, Bias::linear, Bias::relative})
      agrees<TestType>({2, queries, 100 + queries, 3, 24, 3}, bias, allowed);
  agrees<TestType>({1, 2, 70, 4, 5, 2}, Bias::none, allowed);
  agrees<TestType>({1, 4, 4, 1, 64, 1}, Bias::relative, allowed);
  agrees<TestType>({1, 1, 1200, 2, 32, 2}, Bias::relative, allowed);
  agrees<TestType>({1, 2, 130, 1, 128, 1}, Bias::relative, allowed);
}

TEST_CASE("heads wider than tiles are taken row by row", "[attention]") {
  agrees<float>({1, 5, 6, 1, 136, 1}, Bias::relative, 1e-5);
}
