// add_rms_norm and add_layer_norm: a sum and its norm in one pass, with the bits of two operations.
#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/layer_norm/layer_norm.hpp>
#include <burrow/ops/rms_norm/rms_norm.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

constexpr auto add_rms = [](const auto& a, const auto& b, const auto& gain, const auto&) {
  return add_rms_norm(a, b, gain, 0.1);
};
constexpr auto add_layer = [](const auto& a, const auto& b, const auto& gain, const auto& bias) {
  return add_layer_norm(a, b, gain, bias, 0.1);
};
/// The same as two operations.
constexpr auto rms_of_sum = [](const auto& a, const auto& b, const auto& gain, const auto&) {
  const auto sum = materialize(a + b);
  const auto norm = rms_norm(sum, gain, 0.1);
  return SumAndNorm<std::remove_const_t<decltype(sum)>, std::remove_const_t<decltype(norm)>>{sum, norm};
};
constexpr auto layer_of_sum = [](const auto& a, const auto& b, const auto& gain, const auto& bias) {
  const auto sum = materialize(a + b);
  const auto norm = layer_norm(sum, gain, bias, 0.1);
  return SumAndNorm<std::remove_const_t<decltype(sum)>, std::remove_const_t<decltype(norm)>>{sum, norm};
};

/// Sum, norm and the gradients of all operands where both results are used.
template <class F, class... X>
auto all_of(const F& f, const X&... x) {
  Tape tape;
  const std::tuple watched{tape.watch(x)...};
  const auto y = std::apply(f, watched);
  const auto loss =
      burrow::sum(materialize(cast<double>(y.sum) * 0.5 + cast<double>(y.norm) * cast<double>(y.norm)));
  tape.backward(loss);
  return std::apply(
      [&](const auto&... w) {
        return std::tuple{y.sum.value(), y.norm.value(), tape.gradient(w)...};
      },
      watched);
}

template <class Tuple>
bool same_tuples(const Tuple& a, const Tuple& b) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return (same_bits(std::get<I>(a), std::get<I>(b)) && ...);
  }
  (std::make_index_sequence<std::tuple_size_v<Tuple>>{});
}

template <class T, class G, class S, class S2>
void equals_two_operations(const S& shape, const S2& features) {
  CAPTURE(shape.text(), dtype_name<T>(), dtype_name<G>());
  const auto a = random<T>(1, shape), b = random<T>(2, shape);
  const auto gain = random<G>(3, features), bias = random<G>(4, features);
  CHECK(same_tuples(all_of(add_rms, a, b, gain, bias), all_of(rms_of_sum, a, b, gain, bias)));
  CHECK(same_tuples(all_of(add_layer, a, b, gain, bias), all_of(layer_of_sum, a, b, gain, bias)));
  const auto untraced = add_rms(a, b, gain, bias);
  STATIC_REQUIRE(std::same_as<decltype(untraced.sum), Tensor<T, S>>);
  STATIC_REQUIRE(std::same_as<decltype(untraced.norm), Tensor<T, S>>);
  const auto expected = rms_of_sum(a, b, gain, bias);
  CHECK(same_bits(untraced.sum, expected.sum));
  CHECK(same_bits(untraced.norm, expected.norm));
}

}  // namespace

TEMPLATE_TEST_CASE("a sum and its norm have the bits of two operations", "[add_norm]", double, float, bf16) {
  using G = std::conditional_t<std::same_as<TestType, bf16>, float, TestType>;
  equals_two_operations<TestType, G>(Shape<2, 3, 13>{}, Shape<13>{});
  for (const Index width : widths)
    equals_two_operations<TestType, G>(Shape<dyn, dyn>{{4, width}}, Shape<dyn>{{width}});
}

TEST_CASE("a sum and its norm of one row, one element and none", "[add_norm]") {
  equals_two_operations<float, float>(Shape<37>{}, Shape<37>{});
  equals_two_operations<float, float>(Shape<dyn, dyn>{{1, 1}}, Shape<dyn>{{1}});
  equals_two_operations<float, float>(Shape<dyn, dyn>{{0, 5}}, Shape<dyn>{{5}});
}

TEST_CASE("gradients of a sum and its norm agree with differences", "[add_norm]") {
  const auto a = random<double>(5, Shape<dyn, dyn>{{3, 9}}), b = random<double>(6, Shape<dyn, dyn>{{3, 9}});
  const auto gain = random<double>(7, Shape<dyn>{{9}}), bias = random<double>(8, Shape<dyn>{{9}});
  const auto both = [](const auto& result) { return materialize(result.sum * result.norm); };
  const auto check = [&](const auto& f) {
    CHECK(gradient_error([&](const auto&... x) { return both(f(x...)); }, a, b, gain, bias) <= 1e-8);
    CHECK(gradient_error([&](const auto&... x) { return f(x...).sum; }, a, b, gain, bias) <= 1e-8);
    CHECK(gradient_error([&](const auto&... x) { return f(x...).norm; }, a, b, gain, bias) <= 1e-8);
    // One operand twice, and each operand alone.
    CHECK(gradient_error([&](const auto& x) { return both(f(x, x, gain, bias)); }, a) <= 1e-8);
    CHECK(gradient_error([&](const auto& x) { return both(f(a, x, gain, bias)); }, b) <= 1e-8);
    CHECK(gradient_error([&](const auto& g) { return both(f(a, b, g, bias)); }, gain) <= 1e-8);
  };
  check(add_rms);
  check(add_layer);
}

TEST_CASE("expressions, rows and strided views are added within the norm's pass", "[add_norm]") {
  const auto a = random<double>(9, Shape<2, 3, 5>{});
  const auto b = random<double>(10, Shape<5, 3, 2>{});
  const auto row = random<double>(11, Shape<5>{});
  const auto two = [&](const auto& op) {
    return [&](const auto& x, const auto& y, const auto& r) {
      const auto result = op(x * r, exp(transpose<0, 2>(y)) + r, r, r);
      return materialize(result.sum * result.norm);
    };
  };
  CHECK(distance(two(add_rms)(a, b, row), two(rms_of_sum)(a, b, row)) == 0);
  CHECK(distance(two(add_layer)(a, b, row), two(layer_of_sum)(a, b, row)) == 0);
  CHECK(gradient_error(two(add_rms), a, b, row) <= 1e-7);
  CHECK(gradient_error(two(add_layer), a, b, row) <= 1e-7);
  const auto broadcast = add_rms_norm(row, a, row);
  STATIC_REQUIRE(std::same_as<decltype(broadcast.sum), Tensor<double, Shape<2, 3, 5>>>);
  CHECK(distance(broadcast.sum, Tensor(row + a)) == 0);
  CHECK(distance(rms_norm(a * row, row), rms_norm(Tensor(a * row), row)) == 0);
}

TEST_CASE("a residual sum hands its gradient on without a copy", "[add_norm]") {
  const auto x = random<float>(12, Shape<dyn, dyn>{{64, 256}});
  const auto gain = ones<Shape<256>>();
  Tape tape;
  const auto a = tape.watch(x), b = tape.watch(x);
  const auto g = tape.watch(gain);
  const auto [sum, norm] = add_rms_norm(a, b, g);
  const auto seed = random<float>(13, x.shape());
  tape.backward(norm, seed);
  CHECK(same_bits(tape.gradient(a), tape.gradient(b)));
  // What is added to one operand later is not seen by the other.
  Tape second;
  const auto c = second.watch(x), d = second.watch(x);
  const auto scaled = materialize(c * 2.0f);
  second.backward(materialize(scaled + materialize(c + d)), seed);
  CHECK(same_bits(second.gradient(d), seed));
  CHECK(same_bits(second.gradient(c), Tensor(seed * 3.0f)));
}

TEST_CASE("a sum and its norm do not depend on the number of threads", "[add_norm]") {
  const auto a = random<float>(14, Shape<dyn, dyn>{{401, 513}});
  const auto b = random<float>(15, Shape<dyn, dyn>{{401, 513}});
  const auto gain = random<float>(16, Shape<dyn>{{513}});
  CHECK(thread_independent([&] { return all_of(add_rms, a, b, gain, gain); },
                           [](const auto& x, const auto& y) { return same_tuples(x, y); }));
  CHECK(thread_independent([&] { return all_of(add_layer, a, b, gain, gain); },
                           [](const auto& x, const auto& y) { return same_tuples(x, y); }));
}

TEST_CASE("what does not fit a sum's norm is an error that names both shapes", "[add_norm]") {
  const auto x = random<float>(17, Shape<dyn, dyn>{{2, 8}});
  const auto fits = random<float>(18, Shape<8>{});
  const auto longer = random<float>(19, Shape<9>{});
  CHECK_THROWS_WITH(add_rms_norm(x, x, longer),
                    Contains("add_rms_norm: gain Shape<9> does not fit the last axis of Shape<2, 8>") &&
                        Contains("add_norm_test.cpp:"));
  CHECK_THROWS_WITH(add_layer_norm(x, x, fits, longer),
                    Contains("add_layer_norm: bias Shape<9> does not fit the last axis of Shape<2, 8>"));
  CHECK_THROWS_AS(add_rms_norm(x, random<float>(20, Shape<dyn, dyn>{{3, 8}}), fits), ShapeError);
}
