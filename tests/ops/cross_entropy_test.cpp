#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/cross_entropy/cross_entropy.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

template <class T, class S>
Tensor<double, Shape<dyn>> reference_likelihoods(const Tensor<T, S>& logits, const std::int32_t* targets) {
  const Index width = row_width(logits.shape()), rows = row_count(logits.shape());
  Tensor<double, Shape<dyn>> result{Shape<dyn>{{rows}}};
  for (Index r = 0; r < rows; ++r) {
    const T* const row = logits.data() + r * width;
    double largest = -INFINITY, total = 0;
    for (Index i = 0; i < width; ++i) largest = std::max(largest, static_cast<double>(row[i]));
    for (Index i = 0; i < width; ++i) total += std::exp(static_cast<double>(row[i]) - largest);
    result.data()[r] =
        targets[r] < 0 ? 0.0 : static_cast<double>(row[targets[r]]) - largest - std::log(total);
  }
  return result;
}

template <class S>
Tensor<std::int32_t, S> random_targets(int seed, const S& shape, Index vocabulary) {
  Tensor<std::int32_t, S> targets{shape};
  const auto numbers = uniform<S, double>(Key{static_cast<std::uint64_t>(seed)}, shape);
  for (Index i = 0; i < targets.size(); ++i)
    targets.data()[i] =
        i % 4 == 3 ? -1 : static_cast<std::int32_t>(numbers.data()[i] * static_cast<double>(vocabulary));
  return targets;
}

template <class T, class S, class L>
void agrees(const S& shape, const L& leading, double scale) {
  CAPTURE(shape.text(), dtype_name<T>(), scale);
  const auto logits = random<T>(1, shape, scale);
  const auto targets = random_targets(2, leading, row_width(shape));
  const auto expected = reference_likelihoods(logits, targets.data());
  double total = 0;
  Index count = 0;
  for (Index r = 0; r < targets.size(); ++r) {
    total -= expected.data()[r];
    count += targets.data()[r] >= 0 ? 1 : 0;
  }
  const auto loss = cross_entropy(logits, targets);
  STATIC_REQUIRE(std::same_as<decltype(loss.sum), Tensor<compute_type<T>, Shape<>>>);
  // bf16 logits are exact numbers to the loss, which is computed in fp32.
  const double allowed = std::same_as<T, double> ? 1e-12 : 1e-5;
  CHECK(loss.count == count);
  CHECK(std::abs(static_cast<double>(loss.sum.item()) - total) <= allowed * (1 + std::abs(total)));
  CHECK(distance(token_log_likelihoods(logits, targets), expected) <= allowed);
}

}  // namespace

TEMPLATE_TEST_CASE("cross_entropy agrees with its definition", "[cross_entropy]", double, float, bf16) {
  agrees<TestType>(Shape<7>{}, Shape<>{}, 1);
  agrees<TestType>(Shape<1, 1>{}, Shape<1>{}, 1);
  agrees<TestType>(Shape<2, 3, 13>{}, Shape<2, 3>{}, 3);
  for (const Index width : widths)
    for (const double scale : {1.0, 20.0})
      agrees<TestType>(Shape<dyn, dyn>{{9, width}}, Shape<dyn>{{9}}, scale);
  agrees<TestType>(Shape<dyn, 2, 33>{{3, 2, 33}}, Shape<3, dyn>{{3, 2}}, 1);
}

TEST_CASE("cross_entropy of huge logits does not overflow", "[cross_entropy]") {
  const Tensor<float, Shape<2, 3>> logits{1e4, -1e4, 0, 1e4, 1e4, -1e4};
  const Tensor<std::int32_t, Shape<2>> targets{1, 0};
  Tape tape;
  const auto watched = tape.watch(logits);
  const auto loss = cross_entropy(watched, targets);
  CHECK(loss.sum.item() == Approx(2e4 + std::log(2.0)));
  tape.backward(loss.sum);
  CHECK(distance(tape.gradient(watched), Tensor<double, Shape<2, 3>>{1, -1, 0, -0.5, 0.5, 0}) <= 1e-6);
}

TEST_CASE("the gradient of cross_entropy agrees with differences", "[cross_entropy]") {
  for (const Index width : widths) {
    if (width > 40) continue;
    const auto targets = random_targets(4, Shape<dyn>{{5}}, width);
    const auto logits = random<double>(3, Shape<dyn, dyn>{{5, width}}, 2);
    CHECK(gradient_error([&](const auto& x) { return cross_entropy(x, targets).sum; }, logits) <= 1e-8);
    CHECK(gradient_error([&](const auto& x) { return 3.0 * cross_entropy(x, targets).sum + sum(x * x); },
                         logits) <= 1e-8);
  }
  const auto targets = random_targets(6, Shape<2, 3>{}, 5);
  CHECK(gradient_error([](const auto& x, const auto& t) { return cross_entropy(x, t).sum; },
                       random<double>(5, Shape<2, 3, 5>{}), targets) <= 1e-8);
}

TEST_CASE("the mean of cross_entropy divides by the targets that count", "[cross_entropy]") {
  const auto logits = random<double>(8, Shape<4, 9>{});
  const Tensor<std::int32_t, Shape<4>> targets{3, -1, 0, 8};
  const auto loss = cross_entropy(logits, targets);
  CHECK(materialize(loss.mean()).item() == loss.sum.item() / 3);
  CHECK(gradient_error([&](const auto& x) { return cross_entropy(x, targets).mean(); }, logits) <= 1e-8);
  const auto used_twice = [&](const auto& x) {
    const auto first = cross_entropy(x, targets).sum;  // swept last
    return first + sum(x * x);
  };
  CHECK(gradient_error(used_twice, logits) <= 1e-8);
  const auto nothing = cross_entropy(logits, Tensor<std::int32_t, Shape<4>>{-1, -1, -1, -1});
  CHECK(std::isnan(materialize(nothing.mean()).item()));
}

TEST_CASE("ignored targets are not counted and get no gradient", "[cross_entropy]") {
  const auto logits = random<float>(7, Shape<3, 9>{});
  const Tensor<std::int32_t, Shape<3>> targets{-1, 4, -100};
  Tape tape;
  const auto watched = tape.watch(logits);
  const auto loss = cross_entropy(watched, targets);
  CHECK(loss.count == 1);
  tape.backward(loss.sum);
  const auto gradient = tape.gradient(watched);
  for (Index i = 0; i < 9; ++i) {
    CHECK(gradient(0, i) == 0.0f);
    CHECK(gradient(2, i) == 0.0f);
    CHECK(gradient(1, i) != 0.0f);
  }
  const auto nothing = cross_entropy(logits, Tensor<std::int32_t, Shape<3>>{-1, -1, -1});
  CHECK(nothing.count == 0);
  CHECK(nothing.sum.item() == 0.0f);
  CHECK(token_log_likelihoods(logits, targets)(0) == 0.0f);
}

TEST_CASE("the gradient of bf16 logits is that of double, rounded once", "[cross_entropy]") {
  const auto narrow = random<bf16>(8, Shape<6, 33>{}, 3);
  const auto wide = Tensor(cast<double>(narrow));
  const auto targets = random_targets(9, Shape<6>{}, 33);
  const auto gradient = [&](const auto& logits, bool twice) {
    Tape tape;
    const auto watched = tape.watch(logits);
    auto loss = cross_entropy(watched, targets).sum;
    if (twice) loss = materialize(loss + cross_entropy(watched, targets).sum);
    tape.backward(loss);
    return tape.gradient(watched);
  };
  CHECK(distance(gradient(narrow, false), gradient(wide, false)) <= 4e-3);
  CHECK(distance(gradient(narrow, true), gradient(wide, true)) <= 8e-3);
}

TEST_CASE("a target that is not below the vocabulary is an error that names it", "[cross_entropy]") {
  const auto logits = random<float>(10, Shape<2, 3, 7>{});
  const Tensor<std::int64_t, Shape<2, 3>> targets{0, 1, 2, 3, 7, 4};
  CHECK_THROWS_AS(cross_entropy(logits, targets), ValueError);
  CHECK_THROWS_WITH(cross_entropy(logits, targets),
                    Contains("cross_entropy: target 7 at position (1, 1) of Shape<2, 3> is not in [0, 7)") &&
                        Contains("cross_entropy_test.cpp:"));
  CHECK_THROWS_WITH(token_log_likelihoods(logits, targets), Contains("token_log_likelihoods: target 7"));
}

TEST_CASE("targets of other run-time extents are an error that names both shapes", "[cross_entropy]") {
  const auto logits = random<float>(11, Shape<dyn, 7>{{3, 7}});
  const Tensor<std::int32_t, Shape<dyn>> targets{Shape<dyn>{{4}}};
  CHECK_THROWS_AS(cross_entropy(logits, targets), ShapeError);
  CHECK_THROWS_WITH(cross_entropy(logits, targets),
                    Contains("targets Shape<4> do not fit the rows of logits Shape<3, 7>"));
}

TEST_CASE("cross_entropy does not depend on the number of threads", "[cross_entropy]") {
  const auto logits = random<float>(12, Shape<dyn, dyn>{{301, 257}}, 3);
  const auto targets = random_targets(13, Shape<dyn>{{301}}, 257);
  const auto run = [&] {
    Tape tape;
    const auto watched = tape.watch(logits);
    const auto loss = cross_entropy(watched, targets);
    tape.backward(loss.sum);
    return std::pair{loss.sum.value(), tape.gradient(watched)};
  };
  CHECK(thread_independent(run, [](const auto& a, const auto& b) {
    return same_bits(a.first, b.first) && same_bits(a.second, b.second);
  }));
}
