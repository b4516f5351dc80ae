#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/layer_norm/layer_norm.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

template <class T, class G, class S, class S2>
Tensor<double, S> reference(const Tensor<T, S>& x, const Tensor<G, S2>& gain, const Tensor<G, S2>& bias,
                            double epsilon) {
  Tensor<double, S> y{x.shape()};
  const Index width = row_width(x.shape());
  for (Index r = 0; r < row_count(x.shape()); ++r) {
    const T* const row = x.data() + r * width;
    double mean = 0, variance = 0;
    for (Index i = 0; i < width; ++i) mean += static_cast<double>(row[i]) / static_cast<double>(width);
    for (Index i = 0; i < width; ++i)
      variance += std::pow(static_cast<double>(row[i]) - mean, 2) / static_cast<double>(width);
    for (Index i = 0; i < width; ++i)
      y.data()[r * width + i] = static_cast<double>(gain.data()[i]) * (static_cast<double>(row[i]) - mean) /
                                    std::sqrt(variance + epsilon) +
                                static_cast<double>(bias.data()[i]);
  }
  return y;
}

template <class T, class G, class S, class S2>
void agrees(const S& shape, const S2& features, double scale = 1) {
  CAPTURE(shape.text(), dtype_name<T>(), dtype_name<G>(), scale);
  const auto x = random<T>(1, shape, scale);
  const auto gain = random<G>(2, features);
  const auto bias = random<G>(3, features);
  const auto y = layer_norm(x, gain, bias);
  STATIC_REQUIRE(std::same_as<decltype(y), const Tensor<T, S>>);
  CHECK(distance(y, reference(x, gain, bias, 1e-5)) <= tolerance<T>());
  CHECK(distance(layer_norm(x, gain, bias, 0.25), reference(x, gain, bias, 0.25)) <= tolerance<T>());
}

}  // namespace

TEMPLATE_TEST_CASE("layer_norm agrees with its definition", "[layer_norm]", double, float, bf16) {
  using G = std::conditional_t<std::same_as<TestType, bf16>, float, TestType>;
  agrees<TestType, G>(Shape<1>{}, Shape<1>{});
  agrees<TestType, TestType>(Shape<33>{}, Shape<33>{});
  agrees<TestType, G>(Shape<2, 3, 13>{}, Shape<13>{});
  agrees<TestType, G>(Shape<dyn, 2, 17>{{3, 2, 17}}, Shape<dyn>{{17}});
  for (const Index width : widths)
    for (const double scale : {1e-2, 1.0, 1e4})
      agrees<TestType, G>(Shape<dyn, dyn>{{4, width}}, Shape<dyn>{{width}}, scale);
}

TEST_CASE("layer_norm does not see an offset of a row, even a large one", "[layer_norm]") {
  const auto x = random<double>(4, Shape<3, 50>{});
  const auto gain = ones<Shape<50>, double>();
  const auto bias = zeros<Shape<50>, double>();
  CHECK(distance(layer_norm(Tensor(x + 1e6), gain, bias), layer_norm(x, gain, bias)) <= 1e-8);
}

TEST_CASE("gradients of layer_norm agree with differences", "[layer_norm]") {
  // A large epsilon, as short rows bend too sharply at equal elements for differences.
  const auto f = [](const auto& x, const auto& g, const auto& b) { return layer_norm(x, g, b, 0.1); };
  CHECK(gradient_error(f, random<double>(5, Shape<2, 3, 5>{}), random<double>(6, Shape<5>{}),
                       random<double>(7, Shape<5>{})) <= 1e-8);
  CHECK(gradient_error(f, random<double>(5, Shape<9>{}), random<double>(6, Shape<9>{}),
                       random<double>(7, Shape<9>{})) <= 1e-8);
  for (const Index width : widths) {
    if (width > 40) continue;
    const auto x = random<double>(8, Shape<dyn, dyn>{{4, width}});
    const auto gain = random<double>(9, Shape<dyn>{{width}});
    const auto bias = random<double>(10, Shape<dyn>{{width}});
    CHECK(gradient_error(f, x, gain, bias) <= 1e-8);
    CHECK(gradient_error(
              [&](const auto& v, const auto& g, const auto& b) { return v * v + f(2.0 * v, g * g, b + b); },
              x, gain, bias) <= 1e-8);
  }
}

TEST_CASE("layer_norm adds up gradients of one value in several places", "[layer_norm]") {
  CHECK(gradient_error([](const auto& v) { return layer_norm(v, v, v, 0.1); },
                       random<double>(11, Shape<7>{})) <= 1e-8);
  CHECK(gradient_error([](const auto& v) { return layer_norm(v, at<0>(v, 1), at<0>(v, 2), 0.1); },
                       random<double>(11, Shape<3, 7>{})) <= 1e-8);
}

TEST_CASE("gain and bias are differentiated each on its own", "[layer_norm]") {
  const auto x = random<double>(12, Shape<4, 6>{});
  const auto gain = random<double>(13, Shape<6>{});
  CHECK(gradient_error([&](const auto& b) { return layer_norm(x, gain, b); }, gain) <= 1e-8);
  CHECK(gradient_error([&](const auto& g) { return layer_norm(x, g, gain); }, gain) <= 1e-8);
}

TEST_CASE("gradients of layer_norm in bf16 are those of double, rounded", "[layer_norm]") {
  const auto narrow = random<bf16>(14, Shape<40, 65>{});
  const auto gain = random<float>(15, Shape<65>{});
  const auto dy = random<bf16>(16, Shape<40, 65>{});
  const auto gradients = [](const auto& x, const auto& g, const auto& seed) {
    Tape tape;
    const auto watched = tape.watch(x);
    const auto watched_gain = tape.watch(g);
    const auto watched_bias = tape.watch(g);
    tape.backward(layer_norm(watched, watched_gain, watched_bias), seed);
    return std::tuple{tape.gradient(watched), tape.gradient(watched_gain), tape.gradient(watched_bias)};
  };
  const auto got = gradients(narrow, gain, dy);
  const auto expected =
      gradients(Tensor(cast<double>(narrow)), Tensor(cast<double>(gain)), Tensor(cast<double>(dy)));
  CHECK(distance(std::get<0>(got), std::get<0>(expected)) <= 1e-2);
  CHECK(distance(std::get<1>(got), std::get<1>(expected)) <= 1e-5);  // summed in fp32, not in bf16
  CHECK(distance(std::get<2>(got), std::get<2>(expected)) <= 1e-5);
}

TEST_CASE("a gain or bias of another run-time extent is an error that names both shapes", "[layer_norm]") {
  const auto x = random<float>(17, Shape<dyn, dyn>{{2, 8}});
  const auto fits = random<float>(18, Shape<8>{});
  const auto longer = random<float>(19, Shape<9>{});
  CHECK_THROWS_AS(layer_norm(x, longer, fits), ShapeError);
  CHECK_THROWS_WITH(layer_norm(x, longer, fits),
                    Contains("layer_norm: gain Shape<9> does not fit the last axis of Shape<2, 8>"));
  CHECK_THROWS_WITH(layer_norm(x, fits, longer),
                    Contains("layer_norm: bias Shape<9> does not fit the last axis of Shape<2, 8>") &&
                        Contains("layer_norm_test.cpp:"));
}

TEST_CASE("layer_norm does not depend on the number of threads", "[layer_norm]") {
  const auto x = random<float>(20, Shape<dyn, dyn>{{401, 513}});
  const auto gain = random<float>(21, Shape<513>{});
  const auto run = [&] {
    Tape tape;
    const auto watched = tape.watch(x);
    const auto watched_gain = tape.watch(gain);
    const auto watched_bias = tape.watch(gain);
    const auto y = layer_norm(watched, watched_gain, watched_bias);
    tape.backward(sum(y * y * y));
    return std::tuple{y.value(), tape.gradient(watched), tape.gradient(watched_gain),
                      tape.gradient(watched_bias)};
  };
  CHECK(thread_independent(run, [](const auto& a, const auto& b) {
    return same_bits(std::get<0>(a), std::get<0>(b)) && same_bits(std::get<1>(a), std::get<1>(b)) &&
           same_bits(std::get<2>(a), std::get<2>(b)) && same_bits(std::get<3>(a), std::get<3>(b));
  }));
}
