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
  const auto tiled =
      run([&](const auto& x, const auto& w, const auto& b) { return linear_cross_entropy(x, w, b, targets); },
          h, table, bias, used_elsewhere);
  const auto plain = run([&](const auto& x, const auto& w,
                             const auto& b) { return cross_entropy(matmul(x, transpose(w)) + b, targets); },
                         Matrix<double>(cast<double>(h)), Matrix<double>(cast<double>(table)),
                         Tensor(cast<double>(bias)), used_elsewhere);
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
  agrees<TestType>(600, 5, 130, false);  // more rows than a block without gradients
  agrees<TestType>(70, 4, 2100, true);   // more words than a tile, and than a run of the bias
}

TEST_CASE("several blocks of rows add up", "[linear_cross_entropy]") {
  agrees<float>(150, 4, 140'000, false);  // blocks of 64 rows at most
}

TEST_CASE("the gradient of linear_cross_entropy agrees with differences", "[linear_cross_entropy]") {
  const Tensor<std::int64_t, Shape<2, 3>> targets{4, -1, 0, 6, 4, 2};
  const auto loss = [&](const auto& h, const auto& table, const auto& bias) {
    return linear_cross_entropy(h * 2, table, sin(bias), targets).mean();
  };
  CHECK(gradient_error(loss, random<double>(5, Shape<2, 3, 4>{}), random<double>(6, Shape<7, 4>{}),
                       random<double>(7, Shape<7>{})) <= 1e-8);
}

TEST_CASE("a table is read as it lies, and its gradient written so", "[linear_cross_entropy]") {
  const auto h = random<double>(8, Shape<9, 4>{});
  const auto targets = random_targets(9, 9, 11);
  const auto wide = random<double>(10, Shape<11, 9>{});
  const auto transposed = [&](const auto& w) { return linear_cross_entropy(h, transpose(w), targets).sum; };
  const auto with_gaps = [&](const auto& w) {
    return linear_cross_entropy(h, slice<-1, 4>(w, 3), slice<0, 11>(flatten(w), 5), targets).sum;
  };
  CHECK(gradient_error(transposed, random<double>(11, Shape<4, 11>{})) <= 1e-8);
  CHECK(gradient_error(with_gaps, wide) <= 1e-8);
  const auto table = Tensor(slice<-1, 4>(wide, 3));
  CHECK(linear_cross_entropy(h, slice<-1, 4>(wide, 3), targets).sum.item() ==
        Approx(cross_entropy(matmul(h, transpose(table)), targets).sum.item()).epsilon(1e-12));
}

namespace {

template <class T>
struct Head {
  Parameter<T, Shape<dyn, 4>> table{Shape<dyn, 4>{{7, 4}}, init::normal(0.5f)};
  Parameter<T, Shape<dyn>> bias{Shape<dyn>{{7}}, init::normal(0.5f)};
};

/// The gradients of a head's parameters, bf16 hidden states given.
template <class T>
std::vector<float> head_gradient(const Head<T>& head) {
  const auto h = random<bf16>(12, Shape<5, 4>{});
  const auto targets = random_targets(13, 5, 7);
  const auto gradient =
      value_and_grad(head, [&](Tape& tape) {
        return linear_cross_entropy(tape.watch(h), head.table, head.bias, targets).sum * 1.0f;
      }).second;
  return {gradient.values().begin(), gradient.values().end()};
}

}  // namespace

TEST_CASE("gradients of narrow parameters arrive in fp32, not rounded on the way", "[linear_cross_entropy]") {
  const auto narrow = build<Head<bf16>>(Key{1});
  auto wide = build<Head<float>>(Key{1});
  for (std::size_t i = 0; i < parameters(wide).values().size(); ++i)
    parameters(wide).values()[i] = static_cast<float>(parameters(narrow).values()[i]);
  const auto gradient = head_gradient(narrow);
  CHECK(gradient == head_gradient(wide));
  CHECK(std::any_of(gradient.begin(), gradient.end(),
                    [](float g) { return g != static_cast<float>(static_cast<bf16>(g)); }));
}

TEST_CASE("what is not differentiated costs nothing, and memory stays below that of all logits",
          "[linear_cross_entropy]") {
  const Threads one{1};  // products of more threads have more room at work
  const Index rows = 4096, width = 8, words = 8192, mebibyte = Index{1} << 20;
  const auto h = random_matrix<float>(14, rows, width), table = random_matrix<float>(15, words, width);
  const auto targets = random_targets(16, rows, words);
  const auto peak = [&](const auto& f) {
    const Index before = memory_statistics().bytes_in_use;
    reset_peak_memory();
    f();
    return memory_statistics().peak_bytes_in_use - before;
  };
  const Index all_logits = rows * words * Index{sizeof(float)};
  CHECK(all_logits == 128 * mebibyte);
  CHECK(peak([&] { linear_cross_entropy(h, table, targets); }) < 8 * mebibyte);
  CHECK(peak([&] {
          Tape tape;
          tape.backward(linear_cross_entropy(tape.watch(h), tape.watch(table), targets).sum);
        }) < 40 * mebibyte);
  const auto frozen = [&] {
    Tape tape{Tape::Inputs::constant};
    linear_cross_entropy(tape.watch(h), table, targets);
  };
  CHECK(peak(frozen) < 8 * mebibyte);
}

TEST_CASE("a frozen table or h gets no gradient and changes that of the others nothing",
          "[linear_cross_entropy]") {
  const auto h = random_matrix<float>(17, 20, 6), table = random_matrix<float>(18, 50, 6);
  const auto targets = random_targets(19, 20, 50);
  Tape both, only_h, only_table;
  const auto x = both.watch(h), x2 = only_h.watch(h);
  const auto w = both.watch(table), w2 = only_table.watch(table);
  both.backward(linear_cross_entropy(x, w, targets).sum);
  only_h.backward(linear_cross_entropy(x2, table, targets).sum);
  only_table.backward(linear_cross_entropy(h, w2, targets).sum);
  CHECK(same_bits(both.gradient(x), only_h.gradient(x2)));
  CHECK(same_bits(both.gradient(w), only_table.gradient(w2)));
}

TEST_CASE("without targets the loss is zero and so are the gradients", "[linear_cross_entropy]") {
  const auto h = random_matrix<float>(20, 3, 4);
  const Tensor<std::int32_t, Shape<3>> none{-1, -1, -7};
  Tape tape;
  const auto x = tape.watch(h);
  const auto loss = linear_cross_entropy(x, random_matrix<float>(21, 5, 4), none);
  CHECK(loss.count == 0);
  CHECK(loss.sum.item() == 0.0f);
  tape.backward(loss.sum);
  const auto gradient = tape.gradient(x);
  for (const float g : gradient.values()) CHECK(g == 0.0f);
  const auto empty = random_matrix<float>(22, 0, 4);
  CHECK(linear_cross_entropy(empty, random_matrix<float>(23, 5, 4), Targets{Shape<dyn>{{0}}}).count == 0);
}

TEST_CASE("a record that is kept gives the same gradients again", "[linear_cross_entropy]") {
  Tape tape;
  const auto x = tape.watch(random_matrix<float>(24, 6, 4));
  const auto loss = linear_cross_entropy(x, random_matrix<float>(25, 9, 4), random_targets(26, 6, 9));
  tape.backward(loss.sum, keep_record);
  const auto first = tape.gradient(x);
  tape.backward(loss.sum, keep_record);
  CHECK(same_bits(first, tape.gradient(x)));
}

TEST_CASE("logits of minus infinity, and huge ones, do not spoil the sum", "[linear_cross_entropy]") {
  const auto h = random_matrix<float>(27, 3, 2);
  const auto table = random_matrix<float>(28, 5000, 2, 1e3);
  auto bias = random<float>(29, Shape<dyn>{{5000}});
  std::fill_n(bias.data(), 4096, -INFINITY);  // the first tiles have nothing else
  const Tensor<std::int32_t, Shape<3>> targets{4100, 4999, 4500};
  const auto plain = cross_entropy(matmul(h, transpose(table)) + bias, targets).sum.item();
  CHECK(linear_cross_entropy(h, table, bias, targets).sum.item() == Approx(plain));
  Tape tape;
  CHECK(linear_cross_entropy(tape.watch(h), table, bias, targets).sum.item() == Approx(plain));
}

TEST_CASE("linear_cross_entropy does not depend on the number of threads", "[linear_cross_entropy]") {
  const auto h = random_matrix<float>(30, 301, 40), table = random_matrix<float>(31, 3000, 40);
  const auto targets = random_targets(32, 301, 3000);
  const auto step = [&] {
    Tape tape;
    const auto x = tape.watch(h);
    const auto w = tape.watch(table);
    const auto loss = linear_cross_entropy(x, w, targets);
    tape.backward(loss.sum);
    return std::tuple{linear_cross_entropy(h, table, targets).sum, tape.gradient(x), tape.gradient(w)};
  };
  CHECK(thread_independent(step, [](const auto& a, const auto& b) {
    return same_bits(std::get<0>(a), std::get<0>(b)) && same_bits(std::get<1>(a), std::get<1>(b)) &&
           same_bits(std::get<2>(a), std::get<2>(b));
  }));
}

TEST_CASE("what does not fit is an error that names it", "[linear_cross_entropy]") {
  const auto h = random_matrix<float>(33, 3, 4), table = random_matrix<float>(34, 7, 4);
  const Tensor<std::int32_t, Shape<3>> targets{0, 7, 2};
  CHECK_THROWS_AS(linear_cross_entropy(h, table, targets), ValueError);
  CHECK_THROWS_WITH(linear_cross_entropy(h, table, targets),
                    Contains("linear_cross_entropy: target 7 at position (1) of Shape<3> is not in [0, 7)") &&
                        Contains("linear_cross_entropy_test.cpp:"));
  CHECK_THROWS_WITH(linear_cross_entropy(h, random_matrix<float>(35, 8, 5), targets),
                    Contains("the last axis of Shape<3, 4> does not fit the table Shape<8, 5>"));
  CHECK_THROWS_WITH(linear_cross_entropy(h, table, random<float>(36, Shape<dyn>{{6}}), targets),
                    Contains("bias Shape<6> does not fit the table Shape<7, 4>"));
  CHECK_THROWS_WITH(linear_cross_entropy(h, table, Targets{Shape<dyn>{{4}}}),
                    Contains("targets Shape<4> do not fit the rows of Shape<3, 4>"));
}
