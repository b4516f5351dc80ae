#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/gather/gather.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

/// gather along the middle axis by its definition, and scatter_add and take_along beside it.
template <class T, class V, class Ids>
void check_middle_axis(const V& x, const Ids& ids) {
  CAPTURE(x.shape().text(), ids.shape().text());
  const auto y = gather<1>(x, ids);
  const Index outer = x.shape()[0], inner = x.shape()[2], s = ids.shape()[0], t = ids.shape()[1];
  REQUIRE((y.shape().values() == std::array<Index, 4>{outer, s, t, inner}));
  Tensor<double, Shape<dyn, dyn, dyn>> sums = cast<double>(x);
  bool same = true;
  for (Index o = 0; o < outer; ++o)
    for (Index a = 0; a < s; ++a)
      for (Index b = 0; b < t; ++b)
        for (Index i = 0; i < inner; ++i) {
          same = same && y(o, a, b, i) == x(o, ids(a, b), i);
          sums(o, ids(a, b), i) += static_cast<double>(y(o, a, b, i));
        }
  CHECK(same);
  CHECK(distance(Tensor<T, Shape<dyn, dyn, dyn>>(scatter_add<1>(x, ids, y)), sums) <= 2 * tolerance<T>());
}

template <class V, class Ids>
void check_along(const V& x, const Ids& ids) {
  CAPTURE(x.shape().text(), ids.shape().text());
  const auto y = take_along<1>(x, ids);
  bool same = y.shape().values() == ids.shape().values();
  for (Index o = 0; o < ids.shape()[0]; ++o)
    for (Index k = 0; k < ids.shape()[1]; ++k)
      for (Index i = 0; i < ids.shape()[2]; ++i) same = same && y(o, k, i) == x(o, ids(o, k, i), i);
  CHECK(same);
}

using Cube = Shape<dyn, dyn, dyn>;

}  // namespace

TEMPLATE_TEST_CASE("gather, scatter_add and take_along agree with loops", "[gather]", double, bf16) {
  for (const Index inner : {0, 1, 3, 16, 37})
    for (const Index extent : {1, 6}) {
      const auto x = random<TestType>(1, Cube{{3, extent, inner}});
      for (const Index count : {0, 1, 5}) {
        check_middle_axis<TestType>(x.leaf(), random_ids(2, Shape<dyn, 2>{{count, 2}}, extent));
        check_along(x, random_ids(3, Cube{{3, count, inner}}, extent));
      }
      if constexpr (std::same_as<TestType, double>)
        check_middle_axis<TestType>(transpose<0, 2>(x), random_ids(4, Shape<dyn, 2>{{4, 2}}, extent));
    }
}

TEST_CASE("gather keeps static extents and takes any element", "[gather]") {
  const auto names = arange<Shape<4, 3>, std::int64_t>();
  const Tensor<std::uint8_t, Shape<2>> ids{3, 0};
  const auto rows = gather<0>(names, ids);
  static_assert(std::same_as<decltype(rows), const Tensor<std::int64_t, Shape<2, 3>>>);
  CHECK((rows(0, 1) == 10 && rows(1, 2) == 2));
  const auto columns = gather<-1>(names, Tensor<std::int64_t, Shape<>>{2});
  static_assert(std::same_as<shape_of<decltype(columns)>, Shape<4>>);
  CHECK(columns(3) == 11);
  const Tensor<std::int32_t, Shape<dyn, 3>> along{Shape<dyn, 3>{{1, 3}}, std::vector<std::int32_t>{3, 2, 1}};
  const auto taken = take_along<0>(names > 5, along);
  static_assert(std::same_as<decltype(taken), const Tensor<bool, Shape<dyn, 3>>>);
  CHECK((taken(0, 0) && taken(0, 1) && !taken(0, 2)));
  CHECK(scatter_add<1>(names, Tensor<std::int32_t, Shape<2>>{1, 1}, ones<Shape<4, 2>>())(2, 1) == 9);
}

TEST_CASE("gradients of gather, take_along and scatter_add agree with differences", "[gather]") {
  const auto x = random<double>(5, Shape<2, 4, 3>{});
  const auto ids = random_ids(6, Shape<5>{}, 4);
  check_gradient([&](const auto& a) { return gather<1>(a * a, ids) * gather<1>(a, ids); }, x);
  check_gradient([&](const auto& a) { return gather<0>(transpose<0, 1>(a), ids); }, x);
  const auto along = random_ids(7, Shape<2, 6, 3>{}, 4);
  check_gradient([&](const auto& a) { return take_along<1>(a, along) + sum(a); }, x);
  check_gradient([&](const auto& a, const auto& u) { return scatter_add<1>(a, ids, u * u); }, x,
                 random<double>(8, Shape<2, 5, 3>{}));
}

TEST_CASE("the gradient of gather in bf16 is rounded once", "[gather]") {
  Tape tape;
  const auto x = tape.watch(zeros<Shape<3, 2>, bf16>());
  const auto ids = full<Shape<1000>, std::int32_t>(1);
  const auto along = full<Shape<500, 2>, std::int32_t>(2);
  tape.backward(sum(gather<0>(x, ids)) + sum(take_along<0>(x, along)));
  const auto g = tape.gradient(x);
  CHECK(static_cast<float>(g(1, 0)) == 1000);
  CHECK(static_cast<float>(g(2, 1)) == 500);
  CHECK(static_cast<float>(g(0, 1)) == 0);
}

TEST_CASE("an index out of range is named, with its axis and the line of the call", "[gather]") {
  const auto x = zeros<Shape<2, 5>>();
  const Tensor<std::int32_t, Shape<2, 2>> high{0, 1, 2, 5}, low{0, -1, 2, 4};
  CHECK_THROWS_AS(gather<1>(x, high), ValueError);
  CHECK_THROWS_WITH(gather<1>(x, high),
                    Contains("gather: index 5 at position (1, 1) of Shape<2, 2> is not in "
                             "[0, 5), axis 1 of Shape<2, 5> [gather_test.cpp:"));
  CHECK_THROWS_WITH(gather<-1>(x, low), Contains("index -1 at position (0, 1)"));
  CHECK_THROWS_WITH(take_along<-1>(x, high), Contains("take_along: index 5 at position (1, 1)"));
  CHECK_THROWS_WITH(scatter_add<0>(x, Tensor<std::int32_t, Shape<1>>{2}, zeros<Shape<1, 5>>()),
                    Contains("scatter_add: index 2 at position (0) of Shape<1> is not in [0, 2), axis 0"));
  const auto rows = zeros<Shape<dyn, 5>>(Shape<dyn, 5>{{3, 5}});
  CHECK_THROWS_WITH(scatter_add<0>(x, Tensor<std::int32_t, Shape<2>>{0, 1}, rows),
                    Contains("scatter_add: updates Shape<3, 5> are not Shape<2, 5>, which ids Shape<2> along "
                             "axis 0 of Shape<2, 5> need [gather_test.cpp:"));
  CHECK_THROWS_WITH(take_along<1>(rows, high),
                    Contains("take_along: ids Shape<2, 2> do not fit Shape<3, 5> beside axis 1"));
}

TEST_CASE("gather's gradient does not depend on the number of threads", "[gather]") {
  const auto x = random<float>(9, Cube{{30, 40, 50}});
  auto ids = random_ids(10, Shape<dyn>{{700}}, 40);
  for (Index i = 0; i < 700; i += 3) ids.data()[i] = 39;
  const auto along = random_ids(11, Cube{{30, 90, 50}}, 40);
  const auto run = [&] {
    Tape tape;
    const auto w = tape.watch(x);
    tape.backward(sum(square(gather<1>(w, ids))) + sum(square(take_along<1>(w, along))));
    return tape.gradient(w);
  };
  CHECK(thread_independent(run, [](const auto& a, const auto& b) { return same_bits(a, b); }));
}
