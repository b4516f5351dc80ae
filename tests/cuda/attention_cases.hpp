// Attention on a device: outputs and gradients of all operands, to be compared with the CPU's.
#pragma once

#include <burrow/autodiff/cuda.cuh>
#include <burrow/ops/attention/attention.hpp>
#include <burrow/ops/attention/cuda.cuh>
#include <burrow/ops/attention/positions.hpp>

#include "tests/cuda/close.hpp"

namespace attention_test {

using namespace burrow;

enum class Bias { none, linear, relative };

struct Extents {
  Index batch, queries, keys, heads, head_width, key_heads;
  Index width() const { return heads * head_width; }
};

template <class T, class D>
using Rows = Tensor<T, Shape<dyn, dyn, dyn>, D>;

/// The operands of an attention, or their gradients.
template <class T, class D = Cpu>
struct Operands {
  Rows<T, D> q, k, v;
  Tensor<T, Shape<dyn, dyn>, D> r;
  Tensor<T, Shape<dyn>, D> u, w;

  template <class To>
  Operands<T, To> on() const {
    return {to<To>(q), to<To>(k), to<To>(v), to<To>(r), to<To>(u), to<To>(w)};
  }
};

/// Normal numbers, those of a narrow type rounded.
template <class T, class S>
Tensor<T, S> random(std::uint64_t seed, const S& shape) {
  using C = compute_type<T>;
  return Tensor<T, S>{cast<T>(Tensor<C, S>(normal<S, C>(Key{seed}, shape)))};
}

/// Operands of normal numbers; two distances more than there are.
template <class T>
Operands<T> operands(const Extents& e) {
  using Three = Shape<dyn, dyn, dyn>;
  const Index key_width = e.key_heads * e.head_width;
  return {random<T>(1, Three{{e.batch, e.queries, e.width()}}),
          random<T>(2, Three{{e.batch, e.keys, key_width}}),
          random<T>(3, Three{{e.batch, e.keys, key_width}}),
          random<T>(4, Shape<dyn, dyn>{{e.keys + 2, e.width()}}),
          random<T>(5, Shape<dyn>{{e.width()}}),
          random<T>(6, Shape<dyn>{{e.width()}})};
}

template <class T, class D>
struct Result {
  Rows<T, D> out;
  Operands<T, D> gradients;
};

/// What a tape makes of an attention with operands on D and the gradient dy of its output.
template <class T, class D>
Result<T, D> result(const Operands<T, D>& x, const Rows<T, D>& dy, Index heads, Bias bias) {
  Tape tape;
  const auto q = tape.watch(x.q), k = tape.watch(x.k), v = tape.watch(x.v);
  const auto r = tape.watch(x.r);
  const auto u = tape.watch(x.u), w = tape.watch(x.w);
  const auto finish = [&](const auto& out) {
    tape.backward(out, dy);
    return Result<T, D>{out.value(),
                        {tape.gradient(q), tape.gradient(k), tape.gradient(v), tape.gradient(r),
                         tape.gradient(u), tape.gradient(w)}};
  };
  if (bias == Bias::relative) return finish(relative_attention(q, k, v, r, u, w, heads));
  if (bias == Bias::linear)
    return finish(alibi_attention(q, k, v, alibi_slopes<compute_type<T>, D>(heads), heads));
  return finish(causal_attention(q, k, v, heads));
}

/// What a result has, in turn.
template <class T, class D>
auto parts(const Result<T, D>& x) {
  const auto& d = x.gradients;
  return std::tie(x.out, d.q, d.k, d.v, d.r, d.u, d.w);
}
/// The largest of the distances of results' parts.
template <class T, class A, class B>
double distance(const Result<T, A>& a, const Result<T, B>& b) {
  double most = 0;
  const auto both = [&]<std::size_t... I>(std::index_sequence<I...>) {
    const auto x = parts(a);
    const auto y = parts(b);
    ((most = std::max(most, burrow::distance(std::get<I>(x), std::get<I>(y)))), ...);
  };
  both(std::make_index_sequence<7>{});
  return most;
}

/// The device's result against the CPU's, and against its own of another time, bit for bit.
template <class T>
void agrees(const Extents& e, Bias bias, double allowed) {
  CAPTURE(dtype_name<T>(), e.batch, e.queries, e.keys, e.heads, e.head_width, e.key_heads, bias);
  const auto x = operands<T>(e);
  const auto dy = random<T>(7, x.q.shape());
  const auto on_device = x.template on<Cuda>();
  const auto expected = result(x, dy, e.heads, bias);
  const auto found = result(on_device, to<Cuda>(dy), e.heads, bias);
  const auto again = result(on_device, to<Cuda>(dy), e.heads, bias);
  CHECK(distance(found, expected) <= allowed);
  CHECK(distance(again, found) == 0);
}

/// Every kind of bias, tiles that are whole and that are not, more keys than queries, shared keys.
template <class T>
void agrees_in_tiles(double allowed) {
  for (const Bias bias : {Bias::none, Bias::linear, Bias::relative}) {
    agrees<T>({1, 70, 70, 1, 32, 1}, bias, allowed);
    agrees<T>({2, 40, 105, 2, 16, 2}, bias, allowed);
  }
  agrees<T>({1, 65, 70, 1, 64, 1}, Bias::relative, allowed);
  agrees<T>({1, 5, 140, 2, 7, 2}, Bias::relative, allowed);
  agrees<T>({1, 33, 64, 1, 128, 1}, Bias::relative, allowed);
  agrees<T>({1, 6, 6, 1, 3, 1}, Bias::relative, allowed);
  agrees<T>({1, 66, 70, 4, 24, 2}, Bias::none, allowed);
}

/// One to four queries, keys in one chunk and in several.
template <class T>
void agrees_for_few_queries(double allowed) {
  for (const Index queries : {1, 2, 3, 4})
    for (const Bias bias : {Bias::none, Bias::linear, Bias::relative})
      agrees<T>({2, queries, 70 + queries, 3, 24, 3}, bias, allowed);
  agrees<T>({1, 2, 70, 4, 5, 2}, Bias::none, allowed);
  agrees<T>({1, 4, 4, 1, 64, 1}, Bias::relative, allowed);
  agrees<T>({1, 1, 700, 2, 32, 2}, Bias::relative, allowed);
  agrees<T>({1, 2, 130, 1, 128, 1}, Bias::relative, allowed);
}

}  // namespace attention_test
