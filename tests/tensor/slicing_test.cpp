#include <burrow/tensor/indexing.hpp>
#include <burrow/tensor/reduce.hpp>
#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;
using Catch::Matchers::Contains;

namespace {

using Line5 = Tensor<float, Shape<5>>;

/// The elements of Python's list(range(extent))[begin:end:step], by its definition of slices.
std::vector<float> python_slice(Index extent, Index begin, Index end, Index step) {
  std::vector<float> result;
  if (step > 0) {
    Index i = begin == omitted ? 0 : std::max<Index>(begin < 0 ? begin + extent : begin, 0);
    const Index stop = end == omitted ? extent : std::min(end < 0 ? end + extent : end, extent);
    for (; i < stop; i += step) result.push_back(static_cast<float>(i));
  } else {
    Index i = begin == omitted ? extent - 1 : std::min(begin < 0 ? begin + extent : begin, extent - 1);
    const Index stop = end == omitted ? -1 : std::max<Index>(end < 0 ? end + extent : end, -1);
    for (; i > stop; i += step) result.push_back(static_cast<float>(i));
  }
  return result;
}

template <class E>
std::vector<float> elements(const E& e) {
  const Tensor y = e;
  return {y.values().begin(), y.values().end()};
}

}  // namespace

TEST_CASE("Ranges known at run time mean what Python's slices mean") {
  for (const Index extent : {0, 1, 5, 8}) {
    const Tensor<float, Shape<dyn>> x = arange(Shape<dyn>{{extent}});
    for (const Index begin : {omitted, Index{-20}, Index{-5}, Index{-1}, Index{0}, Index{3}, Index{9}})
      for (const Index end :
           {omitted, Index{-20}, Index{-4}, Index{-1}, Index{0}, Index{2}, Index{7}, Index{30}})
        for (const Index step : {-7, -2, -1, 1, 2, 3}) {
          INFO(extent << ": " << begin << ' ' << end << ' ' << step);
          CHECK(elements(view(x, range(begin, end, step))) == python_slice(extent, begin, end, step));
        }
  }
  const auto x = arange<Shape<5>>();
  CHECK(elements(view(x, range(omitted, omitted, omitted + 1))) == std::vector<float>{4});
  CHECK(elements(view(x, range(omitted, omitted, omitted))) == std::vector<float>{4});
}

TEST_CASE("Ranges in the type have static extents") {
  const auto x = arange<Shape<5>>();
  static_assert(has_shape<decltype(view(x, range<1, 4>())), Shape<3>>);
  static_assert(has_shape<decltype(view(x, range<-100, 100, 3>())), Shape<2>>);
  static_assert(has_shape<decltype(view(x, range<4, 1>())), Shape<0>>);
  CHECK(elements(view(x, range<-2, omitted>())) == std::vector<float>{3, 4});
  CHECK(elements(view(x, range<omitted, omitted, -1>())) == std::vector<float>{4, 3, 2, 1, 0});
  CHECK(elements(view(x, range<3, omitted, -2>())) == std::vector<float>{3, 1});
  CHECK(elements(view(x, range_of<2>(-3))) == std::vector<float>{2, 3});
  CHECK(elements(view(x, range_of<3>(4, -2))) == std::vector<float>{4, 2, 0});
  const Tensor<float, Shape<dyn>> open = x;
  static_assert(has_shape<decltype(view(open, range<1, 3>())), Shape<dyn>>);
  static_assert(has_shape<decltype(view(open, range_of<2>(1))), Shape<2>>);
  CHECK(elements(view(open, range<1, -1>())) == std::vector<float>{1, 2, 3});
}

TEST_CASE("Indices of all kinds mix as in NumPy") {
  const auto x = sample<float>(Shape<4, 5, 6>{}, 1);
  const auto y = view(x, range<1, omitted, 2>(), new_axis, 3, range(5, 0, -2));
  static_assert(has_shape<decltype(y), Shape<2, 1, dyn>>);
  REQUIRE(y.shape().values() == std::array<Index, 3>{2, 1, 3});
  for (Index i = 0; i < 2; ++i)
    for (Index k = 0; k < 3; ++k) CHECK(y(i, 0, k) == x(1 + 2 * i, 3, 5 - 2 * k));
  static_assert(has_shape<decltype(view(x, ellipsis, 0)), Shape<4, 5>>);
  static_assert(has_shape<decltype(view(x, 0, ellipsis, new_axis)), Shape<5, 6, 1>>);
  static_assert(has_shape<decltype(view(x, ellipsis)), Shape<4, 5, 6>>);
  static_assert(has_shape<decltype(view(x, whole_axis, index<-1>())), Shape<4, 6>>);
  static_assert(has_shape<decltype(view(x, 1, 2, ellipsis, 3)), Shape<>>);
  CHECK(view(x, -1, -2, -3)() == x(3, 3, 3));
  CHECK(view(x, whole_axis, index<-1>())(2, 5) == x(2, 4, 5));
  CHECK(view(x, ellipsis, 0)(3, 4) == x(3, 4, 0));
  CHECK(view(x * 2, 1)(2, 3) == 2 * x(1, 2, 3));
  const std::int32_t narrow = 2;
  CHECK(view(x, narrow)(1, 1) == x(2, 1, 1));
}

TEST_CASE("A view without gaps is contiguous in its type, and one with neighbours in the last axis says so") {
  const auto x = sample<float>(Shape<4, 5, 6>{}, 1);
  const Tensor<float, Shape<dyn, 6>> open = sample<float>(Shape<dyn, 6>{{4, 6}});
  static_assert(decltype(view(x, 2))::contiguous);
  static_assert(decltype(view(x, 2, range(1, 3)))::contiguous);
  static_assert(decltype(view(open, range(1, 3)))::contiguous);
  static_assert(decltype(slice<0>(open, 1, 2))::contiguous);
  static_assert(decltype(view(open, range<1, 3>(), new_axis))::contiguous);
  static_assert(decltype(view(x, range_of<1>(2), range<1, 4>()))::contiguous);
  static_assert(!decltype(view(x, whole_axis, 2))::contiguous);
  static_assert(!decltype(view(x, range<0, 4, 2>()))::contiguous);
  static_assert(!decltype(view(x, whole_axis, range(0, 5)))::contiguous);
  static_assert(!decltype(view(open, whole_axis, range<0, 5>()))::contiguous);
  static_assert(!decltype(view(x, range(0, 4, 1)))::contiguous);
  static_assert(decltype(view(x, whole_axis, 2))::layout::unit_inner);
  static_assert(decltype(view(x, whole_axis, whole_axis, range(1, 3)))::layout::unit_inner);
  static_assert(!decltype(view(x, whole_axis, whole_axis, range<1, 5, 2>()))::layout::unit_inner);
  static_assert(!decltype(view(x, whole_axis, whole_axis, 1))::layout::unit_inner);
  static_assert(!decltype(view(x, whole_axis, whole_axis, 1, new_axis))::layout::unit_inner);
  const Tensor inner = view(x, whole_axis, range<1, 3>(), range(2, 6)) * 1;
  const Tensor row = view(x, range_of<1>(2), range<1, 4>()) * 1;
  for_each_element(inner.shape(), [&](const auto& i, Index) {
    CHECK(inner(i[0], i[1], i[2]) == x(i[0], i[1] + 1, i[2] + 2));
  });
  CHECK(row(0, 2, 3) == x(2, 3, 3));
}

TEST_CASE("split gives equal parts as views") {
  const auto x = sample<float>(Shape<4, 6>{}, 1);
  const auto [left, middle, right] = split<3, 1>(x);
  static_assert(has_shape<decltype(middle), Shape<4, 2>>);
  CHECK((left(3, 1) == x(3, 1) && middle(2, 0) == x(2, 2) && right(1, 1) == x(1, 5)));
  const Tensor<float, Shape<dyn, 6>> open = x;
  CHECK(split<2>(open)[1](1, 5) == x(3, 5));
  CHECK_THROWS_WITH(split<3>(open, Location{"user.cpp", 3}),
                    "split: axis 0 of Shape<4, 6> has no 3 equal parts [user.cpp:3]");
}

TEST_CASE("What is not there is named with the user's line") {
  const auto x = sample<float>(Shape<5, 7>{}, 1);
  CHECK_THROWS_WITH(view(x, whole_axis, 7),
                    Contains("view: index 7 is not in axis 1 of Shape<5, 7> [slicing_test.cpp:"));
  CHECK_THROWS_WITH(view(x, new_axis, -6), Contains("view: index -6 is not in axis 0 of Shape<5, 7>"));
  CHECK_THROWS_WITH(view(x, range_of<3>(3)),
                    Contains("view: elements 3 to 5 of axis 0 are not all in Shape<5, 7>"));
  CHECK_THROWS_AS(view(x, range(0, 3, 0)), ValueError);
}

TEST_CASE("Reversed and stepped operands fuse in expressions and reductions") {
  const auto x = sample<float>(Shape<3, 37>{}, 1);
  const auto back = view(x, range<omitted, omitted, -1>(), range<omitted, omitted, -1>());
  const Tensor sums = back + view(x, whole_axis, range(0, 37));
  Index wrong = 0;
  for_each_element(x.shape(), [&](const auto& i, Index) {
    wrong += sums(i[0], i[1]) == x(2 - i[0], 36 - i[1]) + x(i[0], i[1]) ? 0 : 1;
  });
  CHECK(wrong == 0);
  CHECK(sum(back).item() == sum(x).item());
  CHECK(equal(Tensor(sum<0>(back)), Tensor(view(sum<0>(x), range<omitted, omitted, -1>()))));
  CHECK(equal(max<1>(back), Tensor(view(max<1>(x), range<omitted, omitted, -1>()))));
}
