// Attention on the device against the CPU's: gradients.
#include <catch2/catch.hpp>

#include "tests/cuda/attention_operands.hpp"

using namespace attention_test;

namespace {

/// Gradients of all operands on the host and on the device.
template <class T>
struct Gradients {
  Array<T> q, k, v, r, u, w;

  explicit Gradients(const Operands<T>& x)
      : q{x.q.size()}, k{x.k.size()}, v{x.v.size()}, r{x.r.size()}, u{x.u.size()}, w{x.w.size()} {}
  AttentionGradients<T> on_host() { return {q.host(), k.host(), v.host(), r.host(), u.host(), w.host()}; }
  AttentionGradients<T> on_device() {
    return {q.device(), k.device(), v.device(), r.device(), u.device(), w.device()};
  }
};

template <class T>
void agrees(const AttentionExtents& e, Bias bias, double allowed) {
  CAPTURE(dtype_name<T>(), e.batch, e.queries, e.keys, e.heads, e.head_width, e.key_heads, bias);
  const Operands<T> x{e, bias};
  Array<T> out{x.q.size()};
  const Array<T> dy{x.q.size(), 8, 1};
  Array<compute_type<T>> log_sums{e.batch * e.heads * e.queries};
  attention_forward(Cpu{}, e, x.on_host(), out.host(), log_sums.host());
  out.upload();
  log_sums.upload();
  Gradients<T> d{x}, again{x};
  attention_backward(Cpu{}, e, x.on_host(), out.host(), log_sums.host(), dy.host(), d.on_host());
  for (Gradients<T>* to : {&d, &again})
    attention_backward(Cuda{}, e, x.on_device(), out.device(), log_sums.device(), dy.device(),
                       to->on_device());
  CHECK(distance(d.q.downloaded(), d.q.values()) <= allowed);
  CHECK(distance(d.k.downloaded(), d.k.values()) <= allowed);
  CHECK(distance(d.v.downloaded(), d.v.values()) <= allowed);
  if (bias == Bias::relative) {
    CHECK(distance(d.r.downloaded(), d.r.values()) <= allowed);
    CHECK(distance(d.u.downloaded(), d.u.values()) <= allowed);
    CHECK(distance(d.w.downloaded(), d.w.values()) <= allowed);
    CHECK(distance(again.r.downloaded(), d.r.downloaded()) == 0);
    CHECK(distance(again.u.downloaded(), d.u.downloaded()) == 0);
  }
  CHECK(distance(again.k.downloaded(), d.k.downloaded()) == 0);
}

}  // namespace

TEST_CASE("the gradients of attention of double on the device agree with the CPU's", "[attention]") {
  for (const Bias bias : {Bias::none, Bias::linear, Bias::relative}) {
    agrees<double>({2, 9, 12, 3, 5, 3}, bias, 1e-12);
    agrees<double>({1, 20, 20, 1, 40, 1}, bias, 1e-12);
  }
  agrees<double>({2, 7, 7, 6, 4, 2}, Bias::none, 1e-12);
}

TEMPLATE_TEST_CASE("the gradients of attention in tiles on the device agree with the CPU's", "[attention]",
                   float, bf16, half) {
  const double allowed = std::same_as<TestType, float> ? 1e-5 : std::same_as<TestType, bf16> ? 2e-2 : 3e-3;
  for (const Bias bias : {Bias::none, Bias::linear, Bias::relative}) {
    agrees<TestType>({1, 70, 70, 1, 32, 1}, bias, allowed);
    agrees<TestType>({2, 40, 105, 2, 16, 2}, bias, allowed);
  }
  agrees<TestType>({1, 65, 70, 1, 64, 1}, Bias::relative, allowed);
  agrees<TestType>({1, 5, 140, 2, 7, 2}, Bias::relative, allowed);
  agrees<TestType>({1, 33, 40, 1, 128, 1}, Bias::relative, allowed);
  agrees<TestType>({1, 66, 70, 4, 24, 2}, Bias::none, allowed);
}

TEST_CASE("the gradients of heads wider than tiles are taken row by row", "[attention]") {
  agrees<float>({1, 5, 6, 1, 136, 1}, Bias::relative, 1e-5);
}
