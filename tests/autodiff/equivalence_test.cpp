// The same gradients whatever is fused, static, or parallel.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>
#include <cstring>

using namespace burrow;

namespace {

const auto fused = [](const auto& x) { return x; };
const auto unfused = [](const auto& x) { return materialize(x); };

/// A small network; `step` stands at every node.
template <class X, class B, class Step>
auto network(const X& x, const B& b, const Step& step) {
  const auto hidden = step(gelu(step(step(x * b) + step(transpose(step(transpose(x)))))));
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
  const auto x = normal<Shape<9, 13>, double>(Key{1});
  const auto b = normal<Shape<13>, double>(Key{2});
  const auto one = gradients(x, b, fused), other = gradients(x, b, unfused);
  CHECK(std::get<0>(one).item() == Approx(std::get<0>(other).item()).epsilon(1e-12));
  CHECK(max(abs(std::get<1>(one) - std::get<1>(other))).item() < 1e-12);
  CHECK(max(abs(std::get<2>(one) - std::get<2>(other))).item() < 1e-12);
}

TEMPLATE_TEST_CASE("Static and dynamic shapes give the same bits", "", float, double) {
  const auto x = normal<Shape<37, 75>, TestType>(Key{1});
  const auto b = normal<Shape<75>, TestType>(Key{2});
  const Tensor<TestType, Shape<dyn, dyn>> open_x = x;
  const Tensor<TestType, Shape<dyn>> open_b = b;
  CHECK(all_same_bits(gradients(x, b, fused), gradients(open_x, open_b, fused)));
}

TEST_CASE("The number of threads does not change a bit of a gradient") {
  const int before = threads();
  const auto x = normal<Shape<503, 301>>(Key{1});
  const auto row = normal<Shape<301>>(Key{2});
  const auto column = normal<Shape<503, 1>>(Key{3});
  set_threads(1);
  const auto first = gradients(x, row, fused), second = gradients(x, row, unfused);
  const auto third = gradients(x, column, fused);
  for (const int count : {2, 3, 4}) {
    set_threads(count);
    CHECK(all_same_bits(first, gradients(x, row, fused)));
    CHECK(all_same_bits(second, gradients(x, row, unfused)));
    CHECK(all_same_bits(third, gradients(x, column, fused)));
  }
  set_threads(before);
}

TEST_CASE("A traced and an untraced computation have the same value") {
  const auto x = normal<Shape<9, 13>>(Key{1});
  const auto b = normal<Shape<13>>(Key{2});
  CHECK(same_bits(network(x, b, fused), std::get<0>(gradients(x, b, fused))));
}
