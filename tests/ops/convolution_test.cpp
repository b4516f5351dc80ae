#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/convolution/convolution.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

using Any = Shape<dyn, dyn, dyn, dyn>;
using Extents = std::array<Index, 4>;
template <class T>
using Images = Tensor<T, Any>;

struct Result {
  Images<double> y, dx, dw;
};

/// The definition in double: output, and gradients of sum(y dy) with dy from the seed 3.
Result reference(const Window<2>& how, const Images<double>& x, const Images<double>& w) {
  const Any out{{x.shape()[0], detail::window_axis(how, 0, x.shape()[1], w.shape()[0]).out,
                 detail::window_axis(how, 1, x.shape()[2], w.shape()[1]).out, w.shape()[3]}};
  const Index top = detail::window_axis(how, 0, x.shape()[1], w.shape()[0]).before;
  const Index left = detail::window_axis(how, 1, x.shape()[2], w.shape()[1]).before;
  const Index group_in = w.shape()[2], group_out = w.shape()[3] / (x.shape()[3] / group_in);
  const auto dy = random<double>(3, out);
  Result r{zeros<Any, double>(out), zeros<Any, double>(x.shape()), zeros<Any, double>(w.shape())};
  for (Index b = 0; b < out[0]; ++b)
    for (Index i = 0; i < out[1]; ++i)
      for (Index j = 0; j < out[2]; ++j)
        for (Index o = 0; o < out[3]; ++o)
          for (Index u = 0; u < w.shape()[0]; ++u)
            for (Index v = 0; v < w.shape()[1]; ++v)
              for (Index c = 0; c < group_in; ++c) {
                const Index row = i * how.stride[0] + u * how.dilation[0] - top;
                const Index column = j * how.stride[1] + v * how.dilation[1] - left;
                const Index channel = o / group_out * group_in + c;
                if (row < 0 || row >= x.shape()[1] || column < 0 || column >= x.shape()[2]) continue;
                r.y(b, i, j, o) += x(b, row, column, channel) * w(u, v, c, o);
                r.dx(b, row, column, channel) += dy(b, i, j, o) * w(u, v, c, o);
                r.dw(u, v, c, o) += dy(b, i, j, o) * x(b, row, column, channel);
              }
  return r;
}

template <Window<2> How, class T = double>
auto result(const Extents& image, const Extents& weight) {
  const auto x = random<T>(1, Any{image}), w = random<T>(2, Any{weight});
  Tape tape;
  const auto in = tape.watch(x), taps = tape.watch(w);
  const auto y = convolution2d<How>(in, taps);
  tape.backward(y, random<T>(3, y.shape()));
  return std::tuple{y.value(), tape.gradient(in), tape.gradient(taps)};
}

template <Window<2> How, class T = double>
void agrees(const Extents& image, const Extents& weight, double allowed = 1e-12) {
  CAPTURE(Any{image}.text(), Any{weight}.text(), How.stride[0], How.dilation[0], How.same);
  const auto [y, dx, dw] = result<How, T>(image, weight);
  const auto expected = reference(How, Tensor(cast<double>(random<T>(1, Any{image}))),
                                  Tensor(cast<double>(random<T>(2, Any{weight}))));
  CHECK(y.shape().values() == expected.y.shape().values());
  CHECK(distance(y, expected.y) <= allowed);
  CHECK(distance(dx, expected.dx) <= allowed);
  CHECK(distance(dw, expected.dw) <= allowed);
}

constexpr Window<2> strided{.stride = {2, 3}, .dilation = {2, 1}, .before = {1, 0}, .after = {2, 1}};
constexpr Window<2> same{.stride = {2, 1}, .same = true};

}  // namespace

TEST_CASE("convolution agrees with its definition", "[convolution]") {
  for (const Extents& weight : {Extents{1, 1, 3, 4}, {3, 2, 3, 5}, {2, 3, 1, 6}}) {
    agrees<Window<2>{}>({2, 7, 6, 3}, weight);
    agrees<strided>({2, 7, 6, 3}, weight);
    agrees<same>({2, 7, 6, 3}, weight);
  }
  agrees<same>({1, 1, 1, 1}, {3, 3, 1, 1});
  agrees<same>({0, 4, 4, 2}, {3, 3, 2, 2});
  agrees<same>({1, 8, 5, 6}, {4, 4, 2, 9});           // three groups; an even window
  agrees<Window<2>{}>({1, 60, 70, 1}, {3, 3, 1, 2});  // several blocks of pixels
}

TEST_CASE("convolution in float and bf16 agrees within rounding", "[convolution]") {
  agrees<same, float>({2, 9, 8, 4}, {3, 3, 2, 4}, 1e-4);
  agrees<same, bf16>({2, 9, 8, 4}, {3, 3, 2, 4}, 2e-2);
}

TEST_CASE("the gradients of convolution agree with differences", "[convolution]") {
  const auto x = random<double>(4, Shape<2, 5, 4, 2>{});
  const auto w = random<double>(5, Shape<3, 2, 1, 4>{});
  CHECK(gradient_error([](const auto& a, const auto& b) { return convolution2d<same>(a * 0.5, tanh(b)); }, x,
                       w) <= 1e-9);
  const auto row = random<double>(6, Shape<2, 9, 3>{});
  const auto taps = random<double>(7, Shape<3, 3, 2>{});
  CHECK(gradient_error(
            [](const auto& a, const auto& b) {
              return convolution1d<Window<1>{.stride = {2}, .before = {2}}>(a, b);
            },
            row, taps) <= 1e-9);
}

TEST_CASE("extents of convolution stay static", "[convolution]") {
  const auto x = ones<Shape<dyn, 9, 8, 3>>(Shape<dyn, 9, 8, 3>{{2, 9, 8, 3}});
  const auto w = ones<Shape<3, 3, 3, 5>>();
  static_assert(std::same_as<shape_of<decltype(convolution2d<same>(x, w))>, Shape<dyn, 5, 8, 5>>);
  static_assert(std::same_as<shape_of<decltype(convolution2d(x, w))>, Shape<dyn, 7, 6, 5>>);
  const auto y = convolution2d(x, w);
  CHECK(y(1, 3, 3, 4) == 27);
  const auto row = ones<Shape<1, 6, 2>>();
  const auto sums = convolution1d<Window<1>{.before = {2}}>(row, ones<Shape<3, 2, 1>>());
  static_assert(std::same_as<shape_of<decltype(sums)>, Shape<1, 6, 1>>);
  for (Index t = 0; t < 6; ++t)
    CHECK(sums.view()(0, t, 0) == 2.0f * static_cast<float>(std::min<Index>(t + 1, 3)));
}

TEST_CASE("convolution does not depend on the number of threads", "[convolution]") {
  CHECK(thread_independent(
      [] {
        return result<same, float>({3, 40, 40, 8}, {3, 3, 8, 16});
      },
      [](const auto& a, const auto& b) {
        return same_bits(std::get<0>(a), std::get<0>(b)) && same_bits(std::get<1>(a), std::get<1>(b)) &&
               same_bits(std::get<2>(a), std::get<2>(b));
      }));
}

TEST_CASE("a convolution that does not fit is an error", "[convolution]") {
  const auto x = random<float>(1, Any{{1, 4, 4, 6}});
  CHECK_THROWS_WITH(
      convolution2d(x, random<float>(2, Any{{3, 3, 4, 2}})),
      Contains("convolution: channels of Shape<1, 4, 4, 6> do not fit weights Shape<3, 3, 4, 2>") &&
          Contains("convolution_test.cpp:"));
  CHECK_THROWS_WITH(convolution2d(x, random<float>(2, Any{{3, 3, 3, 5}})), Contains("do not fit weights"));
  CHECK_THROWS_WITH(
      convolution2d(x, random<float>(2, Any{{5, 3, 6, 2}})),
      Contains("the window of Shape<5, 3, 6, 2> is larger than the image of Shape<1, 4, 4, 6>"));
}
