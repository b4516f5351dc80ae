// linear_cross_entropy against cross_entropy of all logits: values, gradients, types, layouts, memory.
#include <burrow/ops/linear_cross_entropy/linear_cross_entropy.hpp>

#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/nn/layers.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

using Targets = Tensor<std::int32_t, Shape<dyn>>;
template <class T>
using Matrix = Tensor<T, Shape<dyn, dyn>>;

template <class T>
Matrix<T> random_matrix(int seed, Index rows, Index columns, double scale = 1) {
  return random<T>(seed, Shape<dyn, dyn>{{rows, columns}}, scale);
}

/// Every fourth target is ignored where asked for.
Targets random_targets(int seed, Index rows, Index words, bool ignoring = true) {
  auto targets = random_ids(seed, Shape<dyn>{{rows}}, words);
  for (Index i = 3; ignoring && i < rows; i += 4) targets.data()[i] = -1 - static_cast<std::int32_t>(i);
  return targets;
}

struct Result {
  double sum;
  Index count;
  Matrix<double> h, table;
  Tensor<double, Shape<dyn>> bias;
};

/// The loss that `f` gives, and its gradients for an upstream gradient of -0.5, after those of another use.
template <class F, class H, class W, class B>
Result run(const F& f, const H& h, const W& table, const B& bias, bool used_elsewhere) {
  Tape tape;
  const auto x = tape.watch(h);
  const auto w = tape.watch(table);
  const auto b = tape.watch(bias);
  const auto loss = f(x, w, b);
  const auto scaled = materialize(loss.sum * -0.5f);
  if (used_elsewhere)
    tape.backward(scaled + cast<compute_type<element_of<H>>>(sum(x) + sum(w) + sum(b)));
  else
    tape.backward(scaled);
  return {static_cast<double>(loss.sum.item()), loss.count, Tensor(cast<double>(tape.gradient(x))),
          Tensor(cast<double>(tape.gradient(w))), Tensor(cast<double>(tape.gradient(b)))};
}

/// The tiled form on T beside the plain form on the same numbers in double.
template <class T>
void agrees(Index rows, Index width, Index words, bool used_elsewhere) {
  CAPTURE(rows, width, words, dtype_name<T>(), used_elsewhere);
  const auto h = random_matrix<T>(1, rows, width), table = random_matrix<T>(2, words, width);
  const auto bias = random<T>(3, Shape<dyn>{{words}});
  const auto targets = random_targets(4, rows, words);
  const auto tiled = run([&](const auto& x, const auto& w,
                             const auto& b) { return linear_cross_entropy(x, w, b, targets); },
                         h, table, bias, used_elsewhere);
  const auto plain = run(
      [&](const auto& x, const auto& w, const auto& b) {
        return cross_entropy(matmul(x, transpose(w)) + b, targets);
      },
      Matrix<double>(cast<double>(h)), Matrix<double>(cast<double>(table)), Tensor(cast<double>(bias)),
      used_elsewhere);
  const double allowed = tolerance<T>() * 3;
  CHECK(tiled.count == plain.count);
  CHECK(std::abs(tiled.sum - plain.sum) <= (std::same_as<T, double> ? 1e-12 : 1e-5) * (1 + plain.sum));
  CHECK(distance(tiled.h, plain.h) <= allowed);
  CHECK(distance(tiled.table, plain.table) <= allowed);
  CHECK(distance(tiled.bias, plain.bias) <= allowed);
  CHECK(linear_cross_entropy(h, table, bias, targets).sum.item() == Approx(plain.sum).epsilon(1e-5));
}

}  // namespace

TEMPLATE_TEST_CASE("linear_cross_entropy agrees with cross_entropy of all logits", "[linear_cross_entropy]",
                   double, float, bf16) {
  agrees<TestType>(1, 1, 1, false);
  agrees<TestType>(5, 3, 7, true);
  agrees<TestType>(17, 8, 33, false);
  agrees<TestType>(600, 5, 130, false);   // more rows than a block without gradients
  agrees<TestType>(70, 4, 2100, true);    // more words than a tile, and than a run of the bias
}

TEST_CASE("several blocks of rows add up", "[linear_cross_entropy]") {
  agrees<float>(150, 4, 140'000, false);  // blocks of 64 rows at most
}
