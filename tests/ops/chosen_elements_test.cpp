// Elements that are seen as diagonals, moved, chosen, counted and drawn: roll, diff, quantile, masked_select,
// nonzero, searchsorted, histogram, bincount, unique, and random choices.
#include <burrow/autodiff/operation_check.hpp>
#include <burrow/ops/draws/draws.hpp>
#include <burrow/ops/masks/masks.hpp>
#include <burrow/ops/search/search.hpp>
#include <burrow/ops/shift/shift.hpp>
#include <burrow/ops/sort/quantile.hpp>
#include <burrow/tensor/diagonal.hpp>
#include <catch2/catch.hpp>

#include "tests/autodiff/second_order.hpp"
#include "tests/ops/compare.hpp"

using namespace ops_test;

namespace {

template <class X>
std::vector<double> elements(const X& x) {
  const auto values = materialize(x);
  std::vector<double> result;
  for (Index i = 0; i < values.size(); ++i)
    result.push_back(static_cast<double>(std::as_const(values).data()[i]));
  return result;
}
using Numbers = std::vector<double>;

}  // namespace

TEST_CASE("Diagonals are views, and vectors are diagonals of matrices") {
  const auto x = arange<Shape<2, 3, 4>, double>();
  static_assert(std::same_as<shape_of<decltype(diagonal<2>(x))>, Shape<2, 2>>);
  static_assert(std::same_as<shape_of<decltype(diagonal<-1>(x))>, Shape<2, 2>>);
  CHECK(elements(diagonal(x)) == Numbers{0, 5, 10, 12, 17, 22});
  CHECK(elements(diagonal<2>(x)) == Numbers{2, 7, 14, 19});
  CHECK(elements(diagonal<-1>(x)) == Numbers{4, 9, 16, 21});
  CHECK(diagonal<9>(x).shape()[-1] == 0);
  const Tensor<double, Shape<dyn>> v{Shape<dyn>{{2}}, std::vector<double>{3, NAN}};
  CHECK(elements(diagonal_matrix(v))[1] == 0);
  CHECK(elements(diagonal_matrix(at(x, 0))).size() == 3 * 16);
  CHECK_NOTHROW(check_operation(
      [](const auto& a) { return sum(diagonal<1>(a)) * diagonal(transpose(a)) + sum(diagonal_matrix(a)); },
      random<double>(9, Shape<3, 3>{})));
}

TEST_CASE("meshgrid repeats vectors over a grid") {
  const auto a = arange<Shape<2>, double>();
  const auto b = arange<Shape<dyn>, double>(Shape<dyn>{{3}});
  const auto [x, y] = meshgrid(a, b);
  static_assert(std::same_as<shape_of<decltype(x)>, Shape<2, dyn>>);
  CHECK(elements(x * 10 + y) == Numbers{0, 1, 2, 10, 11, 12});
  check_gradient(
      [](const auto& u, const auto& v) {
        const auto [p, q] = meshgrid(u, v);
        return sin(p) * q;
      },
      a, b);
}

TEST_CASE("roll moves elements around an axis, diff subtracts neighbours") {
  const auto x = arange<Shape<2, 3>>();
  static_assert(std::same_as<decltype(roll<1>(x, 1)), Tensor<float, Shape<2, 3>>>);
  CHECK(elements(roll<1>(x, 1)) == Numbers{2, 0, 1, 5, 3, 4});
  CHECK(elements(roll<-1>(x, -4)) == Numbers{1, 2, 0, 4, 5, 3});
  CHECK(elements(roll<0>(x, 2)) == elements(x));
  CHECK(roll<0>(zeros<Shape<0, 2>>(), 1).size() == 0);
  static_assert(std::same_as<shape_of<decltype(diff(x))>, Shape<2, 2>>);
  CHECK(elements(diff<0>(x * x)) == Numbers{9, 15, 21});
  CHECK(diff(zeros<Shape<dyn>>(Shape<dyn>{{0}})).shape()[0] == 0);
  const auto moved = [](const auto& a) {
    return roll<1>(a, 1) * a + concatenate<1>(diff(a), slice<1, 1>(a, 0));
  };
  CHECK_NOTHROW(check_operation(moved, random<double>(1, Shape<3, 7>{})));
}

TEST_CASE("Quantiles lie between sorted elements") {
  const Tensor<double, Shape<2, 4>> x{3, 1, 4, 1.5, 9, 2, 6, 5};
  CHECK(elements(quantile<1>(x, 0.5)) == Numbers{2.25, 5.5});
  CHECK(quantile(x, 0.25).item() == Approx(1.875));
  CHECK(elements(median<0>(x)) == Numbers{6, 1.5, 5, 3.25});
  CHECK((quantile(x, 0).item() == 1 && quantile(x, 1).item() == 9));
  const Tensor<float, Shape<3>> odd{INFINITY, 1, INFINITY}, lost{1, NAN, 0};
  CHECK(median(odd).item() == INFINITY);
  CHECK(std::isnan(median(lost).item()));
  CHECK_THROWS_AS(quantile(x, 1.5), ValueError);
  CHECK_THROWS_AS(median(zeros<Shape<0>>()), ShapeError);
  const auto spread = [](const auto& a) { return quantile<1>(a, 0.7) + median(a * a); };
  check_gradient(spread, x);
  CHECK(second_order_error([](const auto& a) { return sum(exp(quantile<1>(a, 0.7) * 0.1)); }, x) < 1e-8);
}

TEST_CASE("Masks choose elements, or rows of the axes that they lack") {
  const Tensor<double, Shape<2, 3>> x{1, -2, 3, -4, 5, 6};
  const auto positive = masked_select(x, x > 0);
  static_assert(std::same_as<shape_of<decltype(positive)>, Shape<dyn>>);
  CHECK(elements(positive) == Numbers{1, 3, 5, 6});
  const auto rows = masked_select(x, at<1>(x, 0) < 0);
  static_assert(std::same_as<shape_of<decltype(rows)>, Shape<dyn, 3>>);
  CHECK(elements(rows) == Numbers{-4, 5, 6});
  CHECK(masked_select(x, x > 10).size() == 0);
  CHECK(elements(nonzero(x < 0)) == Numbers{0, 1, 1, 0});
  CHECK(nonzero(zeros<Shape<4>>()).shape().text() == "Shape<0, 1>");
  check_gradient([](const auto& a) { return square(masked_select(a, a > 0)) * sum(a); }, x);
  const auto mask = ones<Shape<dyn, 3>, bool>(Shape<dyn, 3>{{1, 3}});
  CHECK_THROWS_AS(masked_select(x, mask), ShapeError);
}

TEST_CASE("Elements are looked up among sorted ones and counted") {
  const Tensor<float, Shape<4>> sorted{1, 2, 2, 5};
  const Tensor<float, Shape<dyn>> x{Shape<dyn>{{5}}, std::vector<float>{0, 2, 3, 5, NAN}};
  CHECK(elements(searchsorted(sorted, x)) == Numbers{0, 1, 3, 3, 4});
  CHECK(elements(searchsorted(sorted, x, Side::right)) == Numbers{0, 3, 3, 4, 4});
  const auto counts = histogram(x, sorted);
  static_assert(std::same_as<decltype(counts), const Tensor<std::int64_t, Shape<3>>>);
  CHECK(elements(counts) == Numbers{0, 0, 3});
  CHECK_THROWS_AS(histogram(x, Tensor<float, Shape<2>>{2, 1}), ValueError);

  const Tensor<std::int32_t, Shape<2, 3>> ids{3, 1, 1, 0, 3, 3};
  CHECK(elements(bincount<5>(ids)) == Numbers{1, 2, 0, 3, 0});
  CHECK_THROWS_AS(bincount<3>(ids), ValueError);
  const auto [values, places, times] = unique(ids);
  CHECK(elements(values) == Numbers{0, 1, 3});
  CHECK(elements(times) == Numbers{1, 2, 3});
  CHECK(elements(gather<0>(values, places)) == elements(ids));
  CHECK(unique(Tensor<float, Shape<3>>{NAN, 1, NAN}).counts(1) == 2);
}

TEST_CASE("Random choices have the probabilities that they are given") {
  const auto share = [](const auto& chosen) { return mean(cast<double>(chosen)).item(); };
  const auto dice = random_integers<Shape<60000>>(Key{1}, -1, 5);
  CHECK((min(dice).item() == -1 && max(dice).item() == 4));
  for (Index face = -1; face < 5; ++face) CHECK(share(dice == face) == Approx(1.0 / 6).margin(0.006));
  CHECK_THROWS_AS(random_integers<Shape<2>>(Key{1}, 3, 3), ValueError);
  const auto coins = bernoulli(Key{2}, full<Shape<40000>>(0.3f));
  static_assert(std::same_as<decltype(coins), const Tensor<bool, Shape<40000>>>);
  CHECK(share(coins) == Approx(0.3).margin(0.01));
  const Tensor<float, Shape<3>> logits{0, std::log(2.0f), -INFINITY};
  const auto categories = categorical(Key{3}, broadcast_to<Shape<30000, 3>>(logits));
  CHECK(share(categories == 1) == Approx(2.0 / 3).margin(0.01));
  CHECK(share(categories == 2) == 0);
  const auto order = permutation(Key{4}, 100);
  CHECK(elements(sort(order)) == elements(arange(0, 100)));
  CHECK(elements(order) != elements(arange(0, 100)));
}

TEST_CASE("Random choices do not depend on the number of threads") {
  CHECK(thread_independent([] { return random_integers<Shape<30000>>(Key{5}, 0, 1000); },
                           [](const auto& a, const auto& b) { return same_bits(a, b); }));
}
