#include <burrow/tensor/reduce.hpp>
#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

#include "tests/threads.hpp"

using namespace burrow;
using namespace reference;

namespace {

/// Elements some of which are zero.
template <class T, class S>
Tensor<T, S> with_zeros(const S& shape, std::uint64_t seed, std::uint32_t one_in) {
  auto x = sample<T>(shape, seed);
  for (Index i = 0; i < x.size(); ++i)
    if (Key{seed + 100}.bits(static_cast<std::uint64_t>(i)) % one_in == 0) x.data()[i] = T(0);
  return x;
}

/// What one line along axis 1 of a rank-3 view says.
struct Line1 {
  double product = 1;
  Index nonzero = 0;
  Index count = 0;
};

template <class V>
Line1 line(const V& x, Index i, Index j) {
  Line1 result;
  for (Index k = 0; k < x.shape()[1]; ++k) {
    const auto value = static_cast<double>(x(i, k, j));
    result.product *= value;
    result.nonzero += value != 0 ? 1 : 0;
    ++result.count;
  }
  return result;
}

template <class V>
void check_middle_axis(const V& x) {
  CAPTURE(x.shape().text());
  const auto products = prod<1>(x);
  const auto some = any<1>(x), every = all<-2>(x);
  const auto counts = count_nonzero<1>(x, keep_axes);
  static_assert(std::same_as<element_of<decltype(some)>, bool>);
  static_assert(std::same_as<element_of<decltype(counts)>, std::int64_t>);
  for (Index i = 0; i < x.shape()[0]; ++i)
    for (Index j = 0; j < x.shape()[2]; ++j) {
      const auto expected = line(x, i, j);
      CHECK(close(products(i, j), static_cast<element_of<decltype(products)>>(expected.product)));
      CHECK(some(i, j) == (expected.nonzero > 0));
      CHECK(every(i, j) == (expected.nonzero == expected.count));
      CHECK(counts(i, 0, j) == expected.nonzero);
    }
}

}  // namespace

TEMPLATE_TEST_CASE("prod, any, all and count_nonzero agree with loops", "", double, bf16, std::int32_t) {
  for (const Index n : {0, 1, 2, 5})
    for (const std::uint32_t one_in : {1u, 2u, 9u, 1000u}) {
      const auto x = with_zeros<TestType>(Shape<2, dyn, dyn>{{2, n, 19}}, 3, one_in);
      check_middle_axis(x.leaf());
      if constexpr (std::same_as<TestType, double>) check_middle_axis(transpose<0, 2>(x));
    }
}

TEST_CASE("Truth of expressions and of bool") {
  const auto x = sample<float>(Shape<5, 33>{}, 1);
  CHECK(any(x > 8).item() == (max(x).item() > 8));
  CHECK(!any(x > 9).item());
  CHECK(all(x <= 9).item());
  CHECK(!all(x < 9 && x > -9).item());
  CHECK(count_nonzero(x > 0).item() == sum(x > 0).item());
  const Tensor positive = x > 0;
  CHECK(equal(any<1>(positive), any<1>(x > 0)));
  CHECK(equal(all<0>(positive), all<0>(x > 0)));
  const auto nan = full<Shape<3>>(std::numeric_limits<float>::quiet_NaN());
  CHECK((any(nan).item() && all(nan).item() && count_nonzero(nan).item() == 3));
}

TEST_CASE("Products of nothing, of infinities and of unsigned") {
  CHECK(prod(Tensor<float, Shape<0>>{}).item() == 1);
  CHECK(std::isnan(prod(Tensor<float, Shape<2>>{INFINITY, 0}).item()));
  const auto bytes = full<Shape<4>, std::uint8_t>(200);
  static_assert(std::same_as<element_of<decltype(prod(bytes))>, std::int64_t>);
  CHECK(prod(bytes).item() == 1600000000);
}

TEST_CASE("A product has the same bits for any number of threads") {
  const Threads scope{1};
  const Tensor x = 1 + 1e-3f * normal<Shape<300, 703>>(Key{1});
  const auto first = prod(x).item();
  const auto columns = prod<0>(x);
  for (const int count : {2, 5}) {
    set_threads(count);
    CHECK(prod(x).item() == first);
    CHECK(equal(prod<0>(x), columns));
  }
}
