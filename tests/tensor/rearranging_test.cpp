#include <burrow/ops/matmul/matmul.hpp>
#include <burrow/tensor/indexing.hpp>
#include <burrow/tensor/reduce.hpp>
#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;

namespace {

const Location here{"user.cpp", 3};

}  // namespace

TEST_CASE("permute puts the named axes in order") {
  const auto x = sample<float>(Shape<2, 3, 4>{}, 1);
  const auto y = permute<2, 0, -2>(x);
  static_assert(has_shape<decltype(y), Shape<4, 2, 3>>);
  for_each_element(x.shape(),
                   [&](const auto& i, Index) { CHECK(y(i[2], i[0], i[1]) == x(i[0], i[1], i[2])); });
  static_assert(decltype(permute<1, 0, 2>(x))::layout::unit_inner &&
                !decltype(permute<1, 0, 2>(x))::contiguous);
  static_assert(!decltype(y)::layout::unit_inner);
  static_assert(decltype(permute<0, 1, 2>(x))::contiguous);
  const auto thin = sample<float>(Shape<5, 1, 4>{}, 1);
  static_assert(decltype(permute<1, 0, 2>(thin))::contiguous);
  CHECK(permute<1, 0, 2>(thin)(0, 3, 2) == thin(3, 0, 2));
  CHECK(equal(Tensor(permute<1, 2, 0>(permute<2, 0, 1>(x)) * 1), x));
}

TEST_CASE("flip reverses axes") {
  const auto x = sample<float>(Shape<3, 21>{}, 1);
  const Tensor rows = flip<0>(x) * 1, columns = flip<-1>(x) * 1, both = flip(x) * 1;
  for_each_element(x.shape(), [&](const auto& i, Index) {
    CHECK(rows(2 - i[0], i[1]) == x(i[0], i[1]));
    CHECK(columns(i[0], 20 - i[1]) == x(i[0], i[1]));
    CHECK(both(2 - i[0], 20 - i[1]) == x(i[0], i[1]));
  });
  static_assert(decltype(flip<0>(x))::layout::unit_inner && !decltype(flip(x))::layout::unit_inner);
  CHECK(equal(Tensor(flip<0>(flip<0>(x)) * 1), x));
  CHECK(flip(Tensor<float, Shape<>>{4}).data()[0] == 4);
  CHECK(flip(zeros<Shape<0, 3>>()).shape().size() == 0);
}

TEST_CASE("expand_dims and squeeze add and drop axes of extent 1") {
  const auto x = sample<float>(Shape<3, 4>{}, 1);
  static_assert(has_shape<decltype(expand_dims<0>(x)), Shape<1, 3, 4>>);
  static_assert(has_shape<decltype(expand_dims<1>(x)), Shape<3, 1, 4>>);
  static_assert(has_shape<decltype(expand_dims<-1>(x)), Shape<3, 4, 1>>);
  static_assert(decltype(expand_dims<1>(x))::contiguous);
  const Tensor outer = expand_dims<1>(at<1>(x, 2)) * expand_dims<0>(at(x, 1));
  static_assert(has_shape<decltype(outer), Shape<3, 4>>);
  for_each_element(x.shape(),
                   [&](const auto& i, Index) { CHECK(outer(i[0], i[1]) == x(i[0], 2) * x(1, i[1])); });
  const auto y = sample<float>(Shape<1, 3, 1, 4>{}, 1);
  static_assert(has_shape<decltype(squeeze(y)), Shape<3, 4>> && decltype(squeeze(y))::contiguous);
  static_assert(has_shape<decltype(squeeze<2>(y)), Shape<1, 3, 4>>);
  CHECK(squeeze<-2, 0>(y)(2, 3) == y(0, 2, 0, 3));
  const auto column = expand_dims<-1>(transpose(x));  // strided, with a last axis that does not move
  CHECK(squeeze(column * 1)(3, 2) == x(2, 3));
  const auto open = sample<float>(Shape<dyn, 4>{{1, 4}}, 1);
  CHECK(squeeze<0>(open)(3) == open(0, 3));
  CHECK_THROWS_WITH(squeeze<0>(sample<float>(Shape<dyn, 4>{{2, 4}}), here),
                    "squeeze: axis 0 of Shape<2, 4> does not have extent 1 [user.cpp:3]");
}

TEST_CASE("broadcast_to repeats without a copy") {
  const auto row = sample<float>(Shape<19>{}, 1);
  const auto column = sample<float>(Shape<3, 1>{}, 2);
  const auto rows = broadcast_to<Shape<3, 19>>(row);
  const auto columns = broadcast_to(column, Shape<dyn, dyn>{{3, 19}});
  CHECK((rows.data() == row.data() && columns.data() == column.data()));
  static_assert(decltype(rows)::layout::unit_inner && !decltype(columns)::layout::unit_inner);
  static_assert(decltype(broadcast_to<Shape<1, 19>>(row))::contiguous);
  const Tensor total = rows * columns + flip<1>(rows);
  for_each_element(total.shape(), [&](const auto& i, Index) {
    CHECK(total(i[0], i[1]) == row(i[1]) * column(i[0], 0) + row(18 - i[1]));
  });
  CHECK(sum(columns).item() == 19 * sum(column).item());
  CHECK(reshape<Shape<57>>(rows)(20) == row(1));
  CHECK(equal(Tensor(broadcast_to<Shape<2, 2>>(Tensor<float, Shape<>>{7})), full<Shape<2, 2>>(7.0f)));
  CHECK_THROWS_WITH(
      broadcast_to(row, Shape<2, dyn>{{2, 18}}, here),
      "broadcast_to: Shape<19> does not repeat over Shape<2, 18> (only a static 1 does) [user.cpp:3]");
}

TEST_CASE("Products read reversed and repeated matrices by their elements") {
  const auto a = sample<float>(Shape<4, 6>{}, 1);
  const auto line = sample<float>(Shape<6>{}, 2);
  const auto b = sample<float>(Shape<6, 5>{}, 3);
  const auto by_copy = [](const auto& x, const auto& y) { return matmul(Tensor(x * 1), Tensor(y * 1)); };
  const auto check = [&](const auto& x, const auto& y) { CHECK(equal(matmul(x, y), by_copy(x, y))); };
  check(flip<0>(a), b);
  check(flip<1>(a), flip<1>(b));
  check(broadcast_to<Shape<4, 6>>(line), flip(b));
  check(transpose(broadcast_to<Shape<6, 4>>(sample<float>(Shape<4>{}, 5))), b);
  check(broadcast_to<Shape<1, 6>>(at<1>(b, 2)), b);
  check(broadcast_to<Shape<3, 4, 6>>(a), broadcast_to<Shape<3, 6, 5>>(b));
  check(flip<0>(broadcast_to<Shape<3, 4, 6>>(a)), sample<float>(Shape<3, 6, 5>{}, 4));
  check(expand_dims<0>(flip(line)), b);
  check(a, expand_dims<1>(flip(line)));
}

TEST_CASE("reshape finds the extent that is left open") {
  const auto x = sample<float>(Shape<4, 6>{}, 1);
  static_assert(has_shape<decltype(reshape<Shape<dyn, 3>>(x)), Shape<8, 3>>);
  static_assert(has_shape<decltype(flatten(x)), Shape<24>>);
  CHECK(reshape<Shape<2, dyn>>(x)(1, 3) == x(2, 3));
  const Tensor<float, Shape<dyn, 6>> open = x;
  static_assert(has_shape<decltype(reshape<Shape<dyn, 3>>(open)), Shape<dyn, 3>>);
  CHECK(reshape<Shape<dyn, 3>>(open).shape()[0] == 8);
  CHECK(flatten(transpose(open))(4) == x(0, 1));
  CHECK_THROWS_WITH((reshape<Shape<dyn, 5>>(open, here)),
                    "reshape: Shape<4, 6> does not fill Shape<dyn, 5> [user.cpp:3]");
  const auto empty = zeros<Shape<dyn, 0>>(Shape<dyn, 0>{{3, 0}});
  CHECK(flatten(empty).shape()[0] == 0);
}

TEST_CASE("repeat and tile copy along an axis") {
  const Tensor<float, Shape<2, 2>> x{1, 2, 3, 4};
  CHECK(equal(Tensor(repeat<2, 0>(x)), Tensor<float, Shape<4, 2>>{1, 2, 1, 2, 3, 4, 3, 4}));
  CHECK(equal(Tensor(repeat<3, 1>(x)), Tensor<float, Shape<2, 6>>{1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4}));
  CHECK(equal(Tensor(tile<2, 0>(x)), Tensor<float, Shape<4, 2>>{1, 2, 3, 4, 1, 2, 3, 4}));
  CHECK(equal(Tensor(tile<2, -1>(x)), Tensor<float, Shape<2, 4>>{1, 2, 1, 2, 3, 4, 3, 4}));
  const auto open = repeat<1>(x, 2);
  static_assert(has_shape<decltype(open), Shape<2, dyn>>);
  CHECK(equal(Tensor<float, Shape<2, 4>>(open), Tensor<float, Shape<2, 4>>{1, 1, 2, 2, 3, 3, 4, 4}));
  CHECK(tile<0>(x, 3).shape()[0] == 6);
  CHECK(tile<0>(x, 0).shape()[0] == 0);
}
