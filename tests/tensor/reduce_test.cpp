#include <burrow/tensor/reduce.hpp>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/tensor/reference.hpp"

#include "tests/threads.hpp"

using namespace burrow;
using namespace reference;

namespace {

/// Folds the elements of a view over some axes with a plain loop: one double for each element of `result`'s
/// shape.
template <int... Axes, class V, class Fold>
std::vector<double> folded(const V& view, double start, const Fold& fold) {
  using S = shape_of<V>;
  const auto kept = detail::kept_shape<S, Axes...>(view.shape());
  const auto steps = detail::row_major_strides(kept.values());
  std::vector<double> result(static_cast<std::size_t>(kept.size()), start);
  for_each_element(view.shape(), [&](auto coordinates, Index) {
    const auto value = static_cast<double>(view.data()[view.offset(coordinates)]);
    Index to = 0;
    for (std::size_t i = 0; i < steps.size(); ++i)
      if (kept.values()[i] != 1) to += coordinates[i] * steps[i];
    double& element = result[static_cast<std::size_t>(to)];
    element = fold(element, value);
  });
  return result;
}

template <class T, class S>
bool all_close(const Tensor<T, S>& y, const std::vector<double>& expected, double factor = 1) {
  bool fits = y.size() == static_cast<Index>(expected.size());
  for (Index i = 0; fits && i < y.size(); ++i)
    fits = close(y.data()[i], static_cast<T>(expected[static_cast<std::size_t>(i)] * factor));
  return fits;
}

const auto add = [](double a, double b) { return a + b; };
const auto larger = [](double a, double b) { return std::max(a, b); };
const auto smaller = [](double a, double b) { return std::min(a, b); };

template <int... Axes, class V>
void check_axes(const V& view) {
  using T = element_of<V>;
  CHECK(all_close(sum<Axes...>(view), folded<Axes...>(view, 0, add)));
  if constexpr (!std::same_as<T, bool>) {
    CHECK(all_close(max<Axes...>(view), folded<Axes...>(view, -INFINITY, larger)));
    CHECK(all_close(min<Axes...>(view), folded<Axes...>(view, INFINITY, smaller)));
  }
  if constexpr (Real<T>) {
    const auto y = mean<Axes...>(view);
    CHECK(all_close(y, folded<Axes...>(view, 0, add),
                    static_cast<double>(y.size()) / static_cast<double>(view.shape().size())));
  }
}

template <class E>
void check_all_axes(const E& e) {
  const auto view = e.leaf();
  check_axes<>(view);
  check_axes<0>(view);
  check_axes<1>(view);
  check_axes<2>(view);
  check_axes<0, 1>(view);
  check_axes<0, 2>(view);
  check_axes<1, 2>(view);
}

/// A view in a wrapper with `leaf`, as tensors have it.
template <class V>
struct Held {
  V view;
  const V& leaf() const { return view; }
};

}  // namespace

TEMPLATE_TEST_CASE("Reductions over every set of axes agree with loops", "", float, double, bf16,
                   std::int32_t, std::int64_t, std::uint8_t, bool) {
  if constexpr (std::same_as<TestType, std::uint8_t>)
    check_all_axes(Tensor(minimum(sample<TestType>(Shape<2, 3, 4>{}, 1), 9)));
  else
    check_all_axes(sample<TestType>(Shape<3, 5, 21>{}, 1));
}

TEST_CASE("Reductions of dynamic and of strided tensors agree with loops") {
  for (const Index n : {1, 2, 7, 8, 9, 40})
    check_all_axes(sample<float>(Shape<dyn, 3, dyn>{{n, 3, 41 - n}}, 1));
  const auto x = sample<float>(Shape<4, 19, 3>{}, 2);
  const auto turned = transpose<0, 2>(x);
  check_all_axes(Held<decltype(turned)>{turned});
  const auto spread = slice<1>(x, 1, 9, 2);
  check_all_axes(Held<decltype(spread)>{spread});
}

TEST_CASE("The shape of a reduction") {
  const auto x = sample<float>(Shape<2, dyn, 4>{{2, 3, 4}}, 1);
  static_assert(std::same_as<shape_of<decltype(sum(x))>, Shape<>>);
  static_assert(std::same_as<shape_of<decltype(sum<1>(x))>, Shape<2, 4>>);
  static_assert(std::same_as<shape_of<decltype(max<-1>(x))>, Shape<2, dyn>>);
  static_assert(std::same_as<shape_of<decltype(mean<0, -1>(x, keep_axes))>, Shape<1, dyn, 1>>);
  static_assert(std::same_as<shape_of<decltype(min(x, keep_axes))>, Shape<1, 1, 1>>);
  CHECK(sum<0>(x).shape()[0] == 3);
  CHECK(equal(sum<-2>(x), sum<1>(x)));
  CHECK(sum<1>(x, keep_axes).shape()[1] == 1);
  CHECK(equal(Tensor(sum<1>(x)), Tensor(reshape<Shape<2, 4>>(sum<1>(x, keep_axes)))));
}

TEST_CASE("A chain is fused into its reduction") {
  const auto x = sample<double>(Shape<6, 11>{}, 1);
  const auto row = sample<double>(Shape<11>{}, 2);
  const Tensor chain = exp(x * 0.1) * row;
  CHECK(all_close(sum<0>(exp(x * 0.1) * row), folded<0>(chain.leaf(), 0, add)));
  CHECK(all_close(max<1>(exp(x * 0.1) * row), folded<1>(chain.leaf(), -INFINITY, larger)));
  CHECK(all_close(sum(x > 0), folded(Tensor(x > 0).leaf(), 0, add)));
  static_assert(std::same_as<element_of<decltype(sum(x > 0))>, std::int64_t>);
}

TEST_CASE("Reductions of nothing are the neutral elements") {
  const Tensor<float, Shape<0, 3>> nothing;
  CHECK(equal(sum<0>(nothing), zeros<Shape<3>>()));
  CHECK(sum(nothing).item() == 0);
  CHECK(max<0>(nothing)(1) == -INFINITY);
  CHECK(min<0>(nothing)(1) == INFINITY);
  CHECK(sum<1>(nothing).size() == 0);
  CHECK(std::isnan(mean<0>(nothing)(2)));
  CHECK(std::isnan(mean(nothing).item()));
  CHECK(mean<1>(nothing).size() == 0);
  CHECK(max(Tensor<std::int32_t, Shape<0>>{}).item() == std::numeric_limits<std::int32_t>::lowest());
}

TEST_CASE("Extremes of integers reach the ends of their type") {
  constexpr auto least = std::numeric_limits<std::int32_t>::min(),
                 most = std::numeric_limits<std::int32_t>::max();
  const Tensor<std::int32_t, Shape<3>> x{least, 0, most};
  CHECK((min(x).item() == least && max(x).item() == most));
  const Tensor<float, Shape<4>> y{-INFINITY, 3, INFINITY, -1};
  CHECK((min(y).item() == -INFINITY && max(y).item() == INFINITY));
}

TEMPLATE_TEST_CASE("NaN is the largest and the smallest wherever it stands", "", float, double, bf16) {
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  for (const Index n : {1, 2, 7, 16, 21, 50}) {
    const auto plain = sample<TestType>(Shape<dyn, 3>{{n, 3}}, 1);
    for (Index at = 0; at < n; at += 1 + n / 9) {
      auto x = plain;
      x(at, 1) = static_cast<TestType>(nan);
      const auto columns = max<0>(x), least = min<0>(x);
      CHECK((std::isnan(static_cast<float>(columns(1))) && std::isnan(static_cast<float>(least(1)))));
      CHECK((columns(0) == max<0>(plain)(0) && least(2) == min<0>(plain)(2)));
      CHECK((std::isnan(static_cast<float>(max(x).item())) && std::isnan(static_cast<float>(min(x).item()))));
      CHECK(std::isnan(static_cast<float>(max<1>(transpose(x))(1))));
    }
  }
}

TEST_CASE("Sums of bf16 accumulate in float") {
  const auto halves = full<Shape<1024, 16>, bf16>(bf16{0.5f});
  CHECK(static_cast<float>(sum(halves).item()) == 8192);
  CHECK(static_cast<float>(sum<0>(halves)(7)) == 512);
  CHECK(static_cast<float>(sum<1>(halves)(1000)) == 8);
  CHECK(static_cast<float>(mean(halves).item()) == 0.5f);
}

TEST_CASE("Sums of many floats stay accurate") {
  const auto x = full<Shape<3000001>>(0.1f);
  CHECK(sum(x).item() == Approx(3000001 * static_cast<double>(0.1f)).epsilon(1e-5));
  const auto y = full<Shape<300000, 10>>(0.1f);
  CHECK(sum<0>(y)(3) == Approx(300000 * static_cast<double>(0.1f)).epsilon(1e-6));
  const auto z = reshape<Shape<500, 600, 2, 5>>(y);
  CHECK(sum<0, 1, 3>(z)(1) == Approx(1500000 * static_cast<double>(0.1f)).epsilon(1e-6));
  CHECK(sum<0>(z)(599, 1, 4) == Approx(500 * static_cast<double>(0.1f)).epsilon(1e-6));
  CHECK(sum<0, 2>(z * 1)(7, 4) == Approx(1000 * static_cast<double>(0.1f)).epsilon(1e-6));
}

TEST_CASE("Reductions have the same bits for any number of threads") {
  const Threads scope{1};
  const auto x = normal<Shape<500, 603>>(Key{1});
  const auto reductions = [&](int count) {
    set_threads(count);
    std::vector<float> all{sum(x).item(), mean(x).item()};
    const auto append = [&](const auto& y) { all.insert(all.end(), y.values().begin(), y.values().end()); };
    append(sum<0>(x));
    append(sum<1>(exp(x)));
    append(sum<0>(transpose(x)));
    append(sum<0, 1>(reshape<Shape<603, 100, 5>>(x)));
    append(sum<1>(reshape<Shape<50, 10, 603>>(x)));
    return all;
  };
  const auto first = reductions(1);
  for (const int count : {2, 3, 4}) {
    const auto again = reductions(count);
    CHECK(std::memcmp(first.data(), again.data(), first.size() * sizeof(float)) == 0);
  }
}
