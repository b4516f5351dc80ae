#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;

namespace {

/// The same elements in other places: columns before rows, or every second element of a larger tensor.
template <class T, class S>
auto transposed_in_memory(const Tensor<T, S>& x) {
  return transpose(Tensor(transpose(x)));
}
template <class T, class S>
auto spread_in_memory(const Tensor<T, S>& x) {
  constexpr int last = S::rank - 1;
  auto values = x.shape().values();
  values[last] = 2 * values[last] + 1;
  using Wide = ShapeOf<detail::resized<S, last, dyn>>;
  auto wide = full<Wide, T>(T(-100), Wide{values});
  for_each_element(x.shape(), [&](auto coordinates, Index number) {
    coordinates[last] = 2 * coordinates[last] + 1;
    wide.data()[wide.leaf().offset(coordinates)] = x.data()[number];
  });
  return slice<last, S::extents[last]>(wide, 1, x.shape()[last], 2);
}

/// The number of wrong elements of 2a - b. The numbers are small integers, so every order of rounding agrees.
template <class A, class B>
Index wrong_elements(const A& a, const B& b) {
  const Tensor y = a * 2 - b;
  Index wrong = 0;
  for_each_element(y.shape(), [&](const auto& coordinates, Index number) {
    if (y.data()[number] != broadcast_at(a, coordinates) * 2 - broadcast_at(b, coordinates)) ++wrong;
  });
  return wrong;
}

template <class SA, class SB>
void check(const SA& sa, const SB& sb) {
  INFO(sa << " with " << sb);
  const auto a = sample<float>(sa, 1);
  const auto b = sample<float>(sb, 2);
  REQUIRE((a * 2 - b).shape() == broadcast(sa, sb));
  CHECK(wrong_elements(a, b) == 0);
  CHECK(wrong_elements(b, a) == 0);
  if constexpr (SA::rank > 1) CHECK(wrong_elements(transposed_in_memory(a), b) == 0);
  if constexpr (SA::rank > 0) CHECK(wrong_elements(spread_in_memory(a), b) == 0);
  if constexpr (SB::rank > 1) CHECK(wrong_elements(spread_in_memory(a), transposed_in_memory(b)) == 0);
}

template <class SA, class SB>
void check() {
  check(SA{}, SB{});
}

}  // namespace

TEST_CASE("Broadcasting of static shapes: leading, trailing, middle axes, and none") {
  check<Shape<4, 3>, Shape<4, 3>>();
  check<Shape<4, 3>, Shape<3>>();
  check<Shape<4, 3>, Shape<4, 1>>();
  check<Shape<4, 1>, Shape<1, 3>>();
  check<Shape<4, 3>, Shape<>>();
  check<Shape<>, Shape<>>();
  check<Shape<5>, Shape<1>>();
  check<Shape<1, 1>, Shape<1>>();
  check<Shape<3, 37>, Shape<37>>();
  check<Shape<37, 3>, Shape<37, 1>>();
}

TEST_CASE("Broadcasting of three and four axes") {
  check<Shape<2, 3, 20>, Shape<3, 20>>();
  check<Shape<2, 3, 20>, Shape<2, 1, 20>>();
  check<Shape<2, 3, 20>, Shape<3, 1>>();
  check<Shape<2, 3, 20>, Shape<2, 1, 1>>();
  check<Shape<2, 1, 9>, Shape<4, 1>>();
  check<Shape<2, 3, 4, 5>, Shape<2, 1, 4, 1>>();
  check<Shape<2, 3, 4, 5>, Shape<3, 1, 5>>();
  check<Shape<1, 3, 1, 5>, Shape<2, 1, 4, 1>>();
}

TEST_CASE("Broadcasting of dynamic shapes, empty ones and extents of 1 among them") {
  for (Index n = 0; n <= 40; ++n) {
    check(Shape<dyn>{{n}}, Shape<>{});
    check(Shape<dyn, 3>{{n, 3}}, Shape<3>{});
    check(Shape<dyn, dyn>{{3, n}}, Shape<dyn>{{n}});
    check(Shape<dyn, 1>{{n, 1}}, Shape<1, dyn>{{1, 5}});
    check(Shape<2, dyn, 4>{{2, n, 4}}, Shape<dyn, 1>{{n, 1}});
  }
}

TEST_CASE("Three operands of different shapes meet in one expression") {
  const auto a = sample<float>(Shape<2, 1, 9>{}, 1);
  const auto b = sample<float>(Shape<5, 1>{}, 2);
  const auto c = sample<float>(Shape<>{}, 3);
  const Tensor y = where(a > b, a * c, b) + c;
  static_assert(std::same_as<shape_of<decltype(y)>, Shape<2, 5, 9>>);
  Index wrong = 0;
  for_each_element(y.shape(), [&](const auto& at, Index number) {
    const float p = broadcast_at(a, at), q = broadcast_at(b, at), r = c();
    if (y.data()[number] != (p > q ? p * r : q) + r) ++wrong;
  });
  CHECK(wrong == 0);
}

TEST_CASE("A static and a dynamic operand give the same elements") {
  const auto x = sample<float>(Shape<6, 11>{}, 1);
  const Tensor<float, Shape<dyn, dyn>> y = x;
  const auto bias = sample<float>(Shape<11>{}, 2);
  const Tensor a = exp(x * bias);
  const Tensor b = exp(y * bias);
  static_assert(std::same_as<shape_of<decltype(b)>, Shape<dyn, 11>>);
  CHECK(std::equal(a.values().begin(), a.values().end(), b.values().begin(), b.values().end()));
}
