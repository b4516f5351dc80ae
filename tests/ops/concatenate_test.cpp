#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/concatenate/concatenate.hpp>
#include <burrow/tensor/indexing.hpp>
#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;
using Catch::Matchers::Contains;

TEST_CASE("concatenate puts operands one after the other") {
  const auto a = sample<float>(Shape<2, 3, 19>{}, 1);
  const auto b = sample<float>(Shape<dyn, 2, 19>{{2, 2, 19}}, 2);
  const auto y = concatenate<1>(a, b * 2, view(a, whole_axis, range<2, omitted, -1>()));
  static_assert(has_shape<decltype(y), Shape<2, 8, 19>>);
  for_each_element(y.shape(), [&](const auto& i, Index) {
    const Index k = i[1];
    const float expected = k < 3 ? a(i[0], k, i[2]) : k < 5 ? 2 * b(i[0], k - 3, i[2]) : a(i[0], 7 - k, i[2]);
    CHECK(y(i[0], k, i[2]) == expected);
  });
  const auto last = concatenate<-1>(at(a, 0), transpose(sample<float>(Shape<4, 3>{}, 3)));
  static_assert(has_shape<decltype(last), Shape<3, 23>>);
  CHECK(last(2, 20) == sample<float>(Shape<4, 3>{}, 3)(1, 2));
}

TEST_CASE("Joined element types promote, and one operand stays itself") {
  const Tensor<std::int32_t, Shape<2>> a{1, 2};
  const Tensor<double, Shape<1>> b{0.5};
  const auto y = concatenate<0>(a, b);
  static_assert(std::same_as<element_of<decltype(y)>, double>);
  CHECK(equal(y, Tensor<double, Shape<3>>{1, 2, 0.5}));
  CHECK(equal(concatenate<0>(a), a));
}

TEST_CASE("stack puts operands side by side along an axis of its own") {
  const auto a = sample<float>(Shape<3, 5>{}, 1), b = sample<float>(Shape<3, 5>{}, 2);
  const auto first = stack<0>(a, b);
  const auto middle = stack<1>(a, b + 0);
  const auto last = stack<-1>(a, b);
  static_assert(has_shape<decltype(first), Shape<2, 3, 5>> && has_shape<decltype(middle), Shape<3, 2, 5>> &&
                has_shape<decltype(last), Shape<3, 5, 2>>);
  for_each_element(a.shape(), [&](const auto& i, Index) {
    CHECK((first(0, i[0], i[1]) == a(i[0], i[1]) && first(1, i[0], i[1]) == b(i[0], i[1])));
    CHECK((middle(i[0], 0, i[1]) == a(i[0], i[1]) && middle(i[0], 1, i[1]) == b(i[0], i[1])));
    CHECK((last(i[0], i[1], 0) == a(i[0], i[1]) && last(i[0], i[1], 1) == b(i[0], i[1])));
  });
}

TEST_CASE("Lists of tensors join, static where the list is") {
  const std::array pair{sample<float>(Shape<2, 3>{}, 1), sample<float>(Shape<2, 3>{}, 2)};
  static_assert(has_shape<decltype(concatenate<0>(pair)), Shape<4, 3>>);
  static_assert(has_shape<decltype(stack<1>(pair)), Shape<2, 2, 3>>);
  CHECK(equal(concatenate<0>(pair), concatenate<0>(pair[0], pair[1])));
  using Rows = Tensor<float, Shape<dyn, 3>>;
  std::vector<Rows> rows{Rows{sample<float>(Shape<2, 3>{}, 1)}, Rows{sample<float>(Shape<4, 3>{}, 2)},
                         Rows{Shape<dyn, 3>{{0, 3}}}};
  const auto all = concatenate<0>(rows);
  static_assert(has_shape<decltype(all), Shape<dyn, 3>>);
  CHECK((all.shape()[0] == 6 && all(5, 2) == rows[1](3, 2)));
  CHECK_THROWS_WITH(stack<0>(rows),
                    Contains("stack: Shape<2, 3> and Shape<4, 3> differ [concatenate_test.cpp:"));
  rows.clear();
  CHECK_THROWS_WITH(stack<0>(rows), Contains("stack: the list is empty"));
}

TEST_CASE("Extents that do not join are named with the user's line") {
  const auto a = zeros<Shape<2, dyn>>(Shape<2, dyn>{{2, 3}}), b = zeros<Shape<2, dyn>>(Shape<2, dyn>{{2, 4}});
  CHECK_THROWS_WITH(
      concatenate<0>(a, b),
      Contains("concatenate: Shape<2, 3> and Shape<2, 4> differ beyond axis 0 [concatenate_test.cpp:"));
  CHECK(concatenate<1>(a, b).shape()[1] == 7);
}

TEST_CASE("Gradients of joins go to their operands") {
  const auto x = normal<Shape<3, 4>, double>(Key{1});
  const auto y = normal<Shape<3, 2>, double>(Key{2});
  CHECK_NOTHROW(check_gradient(
      [](const auto& a, const auto& b) {
        return sin(concatenate<1>(a * a, flip<0>(b), ones<Shape<3, 1>, double>()));
      },
      x, y));
  CHECK_NOTHROW(
      check_gradient([](const auto& a) { return exp(stack<-1>(a, transpose(reshape<Shape<4, 3>>(a)))); }, x));
  CHECK_NOTHROW(check_gradient(
      [](const auto& a) {
        const auto parts = split<2, 1>(a);
        return concatenate<0>(parts);
      },
      x));
}
