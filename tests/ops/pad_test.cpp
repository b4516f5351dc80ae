#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/one_hot/one_hot.hpp>
#include <burrow/ops/pad/pad.hpp>
#include <burrow/ops/with_part/with_part.hpp>
#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;
using Catch::Matchers::Contains;

TEST_CASE("pad frames a tensor with a value") {
  const Tensor<float, Shape<2, 2>> x{1, 2, 3, 4};
  CHECK(equal(pad<0, 1, 0>(x), Tensor<float, Shape<3, 2>>{0, 0, 1, 2, 3, 4}));
  CHECK(equal(pad<-1, 1, 2>(x * 2, 9), Tensor<float, Shape<2, 5>>{9, 2, 4, 9, 9, 9, 6, 8, 9, 9}));
  const auto open = pad(transpose(x), {{{1, 0}, {0, 1}}});
  CHECK(equal(Tensor<float, Shape<3, 3>>(open), Tensor<float, Shape<3, 3>>{0, 0, 0, 1, 3, 0, 2, 4, 0}));
  CHECK_THROWS_WITH(pad(x, {{{1, 0}, {0, -1}}}),
                    Contains("pad: -1 elements at axis 1 of Shape<2, 2> [pad_test.cpp:"));
  const auto y = normal<Shape<3, 4>, double>(Key{1});
  CHECK_NOTHROW(check_gradient([](const auto& a) { return sin(pad<0, 2, 1>(a)) + 0.0; }, y));
  CHECK_NOTHROW(check_gradient([](const auto& a) { return pad(exp(a), {{{1, 1}, {0, 3}}}, 2); }, y));
}

TEST_CASE("with_part is assignment to a part for traced values") {
  const auto x = normal<Shape<4, 5>, double>(Key{1});
  const auto y = normal<Shape<5>, double>(Key{2});
  const auto z = with_part(x, y, range(1, 3));
  for_each_element(x.shape(), [&](const auto& i, Index) {
    CHECK(z(i[0], i[1]) == (i[0] == 1 || i[0] == 2 ? y(i[1]) : x(i[0], i[1])));
  });
  CHECK_NOTHROW(check_gradient(
      [](const auto& a, const auto& b) { return with_part(a * a, sin(b), range(1, 3)); }, x, y));
  CHECK_NOTHROW(
      check_gradient([](const auto& a) { return with_part(a, at<1>(a, 0), whole_axis, -2) * a; }, x));
}

TEST_CASE("one_hot marks the class of each id") {
  const Tensor<std::uint8_t, Shape<2, 2>> ids{0, 2, 1, 0};
  const auto y = one_hot<3>(ids);
  static_assert(std::same_as<shape_of<decltype(y)>, Shape<2, 2, 3>>);
  CHECK(equal(y, Tensor<float, Shape<2, 2, 3>>{1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0}));
  const auto open = one_hot<double>(ids, Shape<dyn>{{300}});
  for_each_element(open.shape(), [&](const auto& i, Index) {
    CHECK(open(i[0], i[1], i[2]) == (ids(i[0], i[1]) == i[2] ? 1.0 : 0.0));
  });
  CHECK_THROWS_WITH(one_hot<2>(ids),
                    Contains("one_hot: id 2 at position (0, 1) of Shape<2, 2> is not in [0, 2)"));
}
