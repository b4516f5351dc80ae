// The same gradients whatever is fused, static, or parallel.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/threads.hpp"

using namespace burrow;

namespace {

const auto fused = [](const auto& x) { return x; };
const auto unfused = [](const auto& x) { return materialize(x); };

// Large enough for several threads, and no multiple of a packet.
Tensor<double, Shape<503, 301>> table() { return normal<Shape<503, 301>, double>(Key{1}); }
Tensor<double, Shape<301>> row() { return normal<Shape<301>, double>(Key{2}); }

/// A small network; `step` stands at every node.
template <class X, class B, class Step>
auto network(const X& x, const B& b, const Step& step) {
  const auto hidden = step(gelu(step(step(x * b) + step(transpose(step(transpose(x) * 0.5))))));
  const auto gate = step(sigmoid(step(hidden - mean<-1>(hidden, keep_axes))));
  return sum(step(where(step(gate > 0.5), step(hidden * gate), step(step(exp(x)) * b))));
}

template <class X, class B, class Step>
auto gradients(const X& x0, const B& b0, const Step& step) {
  Tape tape;
  const auto x = tape.watch(x0);
  const auto b = tape.watch(b0);
  const auto loss = network(x, b, step);
  tape.backward(loss);
  return std::tuple{loss.value(), tape.gradient(x), tape.gradient(b)};
}

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  return a.size() == b.size() &&
         std::memcmp(a.values().data(), b.values().data(), a.values().size_bytes()) == 0;
}

template <class A, class B>
bool all_same_bits(const A& a, const B& b) {
  return same_bits(std::get<0>(a), std::get<0>(b)) && same_bits(std::get<1>(a), std::get<1>(b)) &&
         same_bits(std::get<2>(a), std::get<2>(b));
}

}  // namespace

TEST_CASE("Fused and unfused graphs agree") {
  const auto one = gradients(table(), row(), fused), other = gradients(table(), row(), unfused);
  CHECK(std::get<0>(one).item() == Approx(std::get<0>(other).item()).epsilon(1e-12));
  CHECK(max(abs(std::get<1>(one) - std::get<1>(other))).item() < 1e-12);
  CHECK(max(abs(std::get<2>(one) - std::get<2>(other))).item() < 1e-11);
}

TEST_CASE("Static and dynamic shapes give the same bits") {
  const Tensor<double, Shape<dyn, dyn>> open_table = table();
  const Tensor<double, Shape<dyn>> open_row = row();
  CHECK(all_same_bits(gradients(table(), row(), fused), gradients(open_table, open_row, fused)));
}

TEST_CASE("The number of threads does not change a bit of a gradient") {
  const Threads scope{1};
  const auto first = gradients(table(), row(), fused), second = gradients(table(), row(), unfused);
  for (const int count : {2, 3, 4}) {
    set_threads(count);
    CHECK(all_same_bits(first, gradients(table(), row(), fused)));
    CHECK(all_same_bits(second, gradients(table(), row(), unfused)));
  }
}

TEST_CASE("A traced and an untraced computation have the same value") {
  CHECK(same_bits(network(table(), row(), fused), std::get<0>(gradients(table(), row(), fused))));
}
