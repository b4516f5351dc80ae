#include <burrow/tensor/indexing.hpp>
#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;

TEST_CASE("transpose exchanges two axes and shares the storage") {
  const auto x = sample<float>(Shape<2, 3, 4>{}, 1);
  const auto last = transpose(x);
  const auto outer = transpose<0, 1>(x);
  const auto ends = transpose<0, -1>(x);
  static_assert(std::same_as<shape_of<decltype(last)>, Shape<2, 4, 3>>);
  static_assert(std::same_as<shape_of<decltype(ends)>, Shape<4, 3, 2>>);
  CHECK(last.data() == x.data());
  for_each_element(x.shape(), [&](const auto& i, Index) {
    CHECK(last(i[0], i[2], i[1]) == x(i[0], i[1], i[2]));
    CHECK(outer(i[1], i[0], i[2]) == x(i[0], i[1], i[2]));
    CHECK(ends(i[2], i[1], i[0]) == x(i[0], i[1], i[2]));
  });
  CHECK(equal(Tensor(transpose(transpose(x))), x));
  CHECK(equal(Tensor(transpose<1, 1>(x)), x));
}

TEST_CASE("slice takes elements of one axis with a step") {
  const auto x = sample<float>(Shape<5, 7>{}, 1);
  const Tensor rows = slice<0, 2>(x, 3);
  const Tensor columns = slice<1>(x, 1, 3, 2);
  const Tensor backwards = slice<-1>(x, 6, 7, -1);
  for_each_element(x.shape(),
                   [&](const auto& i, Index) { CHECK(backwards(i[0], 6 - i[1]) == x(i[0], i[1])); });
  static_assert(std::same_as<shape_of<decltype(slice<0, 2>(x, 3))>, Shape<2, 7>>);
  static_assert(std::same_as<shape_of<decltype(slice<1>(x, 1, 3, 2))>, Shape<5, dyn>>);
  CHECK((rows(0, 4) == x(3, 4) && rows(1, 6) == x(4, 6)));
  CHECK((columns(2, 0) == x(2, 1) && columns(4, 2) == x(4, 5)));
  const auto block = slice<1, 2>(slice<0, 3>(x, 1), 4);
  CHECK(equal(Tensor(block * 1),
              Tensor<float, Shape<3, 2>>{x(1, 4), x(1, 5), x(2, 4), x(2, 5), x(3, 4), x(3, 5)}));
  CHECK(slice<0>(x, 5, 0).shape().size() == 0);
}

TEST_CASE("at takes one index of an axis and drops the axis") {
  const auto x = sample<float>(Shape<3, 4, 5>{}, 1);
  static_assert(decltype(at(x, 1))::contiguous);
  static_assert(std::same_as<shape_of<decltype(at<1>(x, 2))>, Shape<3, 5>>);
  const Tensor first = at(x, 1);
  const Tensor middle = at<1>(x, 2);
  const Tensor last = at<-1>(x, 4);
  for_each_element(x.shape(), [&](const auto& i, Index) {
    CHECK(first(i[1], i[2]) == x(1, i[1], i[2]));
    CHECK(middle(i[0], i[2]) == x(i[0], 2, i[2]));
    CHECK(last(i[0], i[1]) == x(i[0], i[1], 4));
  });
  CHECK(at(at(at(x, 2), 3), 4)() == x(2, 3, 4));
  CHECK(equal(Tensor(at<1>(x, -2)), Tensor(at<1>(x, 2))));
  CHECK(equal(Tensor(slice<2, 2>(x, -3)), Tensor(slice<2, 2>(x, 2))));
}

TEST_CASE("reshape keeps the row-major order, also of strided views and expressions") {
  const auto x = sample<float>(Shape<4, 6>{}, 1);
  const auto y = reshape<Shape<2, 12>>(x);
  CHECK(y.data() == x.data());
  CHECK(y(1, 3) == x(2, 3));
  const auto turned = reshape<Shape<24>>(transpose(x));
  for (Index i = 0; i < 24; ++i) CHECK(turned(i) == x(i % 4, i / 4));
  CHECK(reshape<Shape<3, 8>>(x + 1)(2, 7) == x(3, 5) + 1);
  const auto open = reshape(x, Shape<dyn, 3>{{8, 3}});
  CHECK(open(7, 2) == x(3, 5));
}

TEST_CASE("Views of views, sliced and transposed, evaluate like their elements") {
  const auto x = sample<float>(Shape<6, 8, 10>{}, 1);
  const auto view = transpose<0, 2>(slice<2, 4>(slice<0, 3>(x, 1, 3, 2), 1, 4, 2));
  const Tensor doubled = view * 2;
  for_each_element(doubled.shape(), [&](const auto& i, Index number) {
    CHECK(doubled.data()[number] == 2 * x(1 + 2 * i[2], i[1], 1 + 2 * i[0]));
  });
}

TEST_CASE("Writing to a tensor does not reach its views") {
  auto x = sample<float>(Shape<3, 2>{}, 1);
  const auto turned = transpose(x);
  const float before = x(2, 1);
  x(2, 1) = 77;
  CHECK(turned(1, 2) == before);
  CHECK(x(2, 1) == 77);
}

TEST_CASE("Indices that are not there are named with the user's line") {
  const auto x = sample<float>(Shape<5, 7>{}, 1);
  const Location here{"user.cpp", 3};
  CHECK_THROWS_WITH(slice<0>(x, 3, 3, 1, here),
                    "slice: elements 3 to 5 of axis 0 are not all in Shape<5, 7> [user.cpp:3]");
  CHECK_THROWS_AS(slice<1>(x, -1, 2), ShapeError);
  CHECK_THROWS_AS(slice<1>(x, 2, 4, -1), ShapeError);
  CHECK_THROWS_AS(slice<1>(x, 0, -1), ShapeError);
  CHECK_THROWS_WITH(at<-1>(x, 7, here), "at: index 7 is not in axis 1 of Shape<5, 7> [user.cpp:3]");
  CHECK_THROWS_WITH(at(x, -6, here), "at: index -6 is not in axis 0 of Shape<5, 7> [user.cpp:3]");
  CHECK_THROWS_WITH(reshape(x, Shape<dyn, 6>{{6, 6}}, here),
                    "reshape: Shape<5, 7> has not as many elements as Shape<6, 6> [user.cpp:3]");
}
