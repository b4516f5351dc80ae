#include <algorithm>
#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/argmax/argmax.hpp>
#include <burrow/ops/sort/sort.hpp>
#include <catch2/catch.hpp>
#include <vector>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

using Cube = Shape<dyn, dyn, dyn>;

/// Few different values, so that many are equal; some NaN where the type has it.
template <class T>
Tensor<T, Cube> with_ties(int seed, const Cube& shape) {
  Tensor<T, Cube> x{shape};
  for (Index i = 0; i < x.size(); ++i) {
    const auto bits = Key{static_cast<std::uint64_t>(seed)}.bits(static_cast<std::uint64_t>(i));
    x.data()[i] = static_cast<T>(bits % 7);
    if constexpr (Real<T>)
      if (bits % 50 == 0) x.data()[i] = static_cast<T>(NAN);
  }
  return x;
}

bool is_nan(double x) { return std::isnan(x); }

/// The order in which a stable sort puts a line.
std::vector<Index> order(const std::vector<double>& line, bool descending) {
  std::vector<Index> places(line.size());
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<Index>(i);
  const auto at = [&](Index i) { return line[static_cast<std::size_t>(i)]; };
  std::stable_sort(places.begin(), places.end(), [&](Index a, Index b) {
    if (descending) std::swap(a, b);
    return !is_nan(at(a)) && (is_nan(at(b)) || at(a) < at(b));
  });
  return places;
}

template <class V>
std::vector<double> middle_line(const V& x, Index o, Index i) {
  std::vector<double> line;
  for (Index k = 0; k < x.shape()[1]; ++k) line.push_back(static_cast<double>(x(o, k, i)));
  return line;
}

/// All that can be asked about the order along the middle axis.
template <class V>
void check_middle_axis(const V& x) {
  CAPTURE(x.shape().text());
  const Index extent = x.shape()[1], k = std::min<Index>(extent, 3);
  const auto places = argsort<1>(x);
  const auto [values, ids] = topk<1>(x, k);
  const auto largest = argmax<1>(x, keep_axes), smallest = argmin<1>(x, keep_axes);
  bool right = true;
  for (Index o = 0; o < x.shape()[0]; ++o)
    for (Index i = 0; i < x.shape()[2]; ++i) {
      const auto line = middle_line(x, o, i);
      const auto up = order(line, false), down = order(line, true);
      for (Index r = 0; r < extent; ++r) right = right && places(o, r, i) == up[static_cast<std::size_t>(r)];
      for (Index r = 0; r < k; ++r) {
        const auto place = down[static_cast<std::size_t>(r)];
        const auto value = static_cast<double>(values(o, r, i)),
                   expected = line[static_cast<std::size_t>(place)];
        right = right && ids(o, r, i) == place && (value == expected || (is_nan(value) && is_nan(expected)));
      }
      const auto nan = std::find_if(line.begin(), line.end(), is_nan);
      const bool found = nan != line.end();
      right = right &&
              largest(o, 0, i) == (found ? nan : std::max_element(line.begin(), line.end())) - line.begin();
      right = right &&
              smallest(o, 0, i) == (found ? nan : std::min_element(line.begin(), line.end())) - line.begin();
    }
  CHECK(right);
}

}  // namespace

TEMPLATE_TEST_CASE("argsort, topk, argmax and argmin agree with stable sorting", "[sort]", float, bf16,
                   std::int32_t) {
  for (const Index inner : {1, 3, 20})
    for (const Index extent : {1, 2, 9, 17, 100}) {
      const auto x = with_ties<TestType>(1, Cube{{4, extent, inner}});
      check_middle_axis(x);
      if constexpr (std::same_as<TestType, float>) check_middle_axis(transpose<0, 2>(x));
    }
}

TEST_CASE("the position of the largest of all elements", "[argmax]") {
  auto x = random<float>(2, Shape<7, 31>{});
  x(4, 3) = 100;
  x(5, 3) = 100;
  x(6, 30) = -100;
  CHECK(argmax(x).item() == 4 * 31 + 3);
  CHECK(argmin(x).item() == 6 * 31 + 30);
  static_assert(std::same_as<decltype(argmax(x, keep_axes)), Tensor<std::int64_t, Shape<1, 1>>>);
  static_assert(std::same_as<decltype(argmin<0>(x)), Tensor<std::int64_t, Shape<31>>>);
  CHECK(argmax<0>(x * -1)(30) == 6);
  const Tensor<float, Shape<0, 3>> nothing;
  CHECK(argmax<1>(nothing).size() == 0);
  CHECK_THROWS_WITH(argmax<0>(nothing),
                    Contains("argmax: Shape<0, 3> has no elements to choose from [sort_test.cpp:"));
}

TEST_CASE("sort and topk along static and other axes", "[sort]") {
  const Tensor<float, Shape<2, 4>> x{3, 1, 4, 1, 5, 9, 2, 6};
  const auto rows = sort(x);
  static_assert(std::same_as<decltype(rows), const Tensor<float, Shape<2, 4>>>);
  CHECK((rows(0, 0) == 1 && rows(0, 3) == 4 && rows(1, 0) == 2 && rows(1, 3) == 9));
  CHECK(sort<0>(x * -1)(0, 1) == -9);
  const auto [values, ids] = topk<2>(x);
  static_assert(std::same_as<std::remove_const_t<decltype(values)>, Tensor<float, Shape<2, 2>>>);
  CHECK((values(0, 0) == 4 && values(0, 1) == 3 && ids(0, 0) == 2 && ids(1, 1) == 3));
  const auto columns = topk<1, 0>(x);
  CHECK((columns.values(0, 1) == 9 && columns.ids(0, 2) == 0));
  CHECK(topk(x, 0).values.size() == 0);
  CHECK_THROWS_WITH(topk(x, 5), Contains("topk: axis 1 of Shape<2, 4> has not 5 elements [sort_test.cpp:"));
}

TEST_CASE("gradients flow to the chosen elements", "[sort]") {
  const auto x = random<double>(3, Shape<4, 5, 3>{});
  check_gradient([](const auto& a) { return sort<1>(a * a); }, x);
  check_gradient([](const auto& a) { return topk<2, 0>(a).values * sum(a); }, x);
  Tape tape;
  const auto w = tape.watch(Tensor<float, Shape<4>>{3, 1, 4, 1});
  static_assert(Traced<decltype(argmax(w))>);
  tape.backward(sum(square(topk<2>(w).values)));
  CHECK((tape.gradient(w)(0) == 6 && tape.gradient(w)(2) == 8 && tape.gradient(w)(1) == 0));
}
