// Gradients of exchanges: against differences of the sum of all ranks' losses, and against the whole
// computation on one rank.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/autodiff/transform.hpp>
#include <burrow/distributed/operations.hpp>
#include <burrow/ops/matmul/matmul.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/indexing.hpp>
#include <catch2/catch.hpp>

#include "tests/mpi/world.hpp"

using namespace burrow;
using mpi_test::world;

namespace {

using Rows = Tensor<double, Shape<dyn, 3>>;

Rows random_rows(Index rows, std::uint64_t seed) {
  Rows x{Shape<dyn, 3>{{rows, 3}}};
  for (Index i = 0; i < x.size(); ++i)
    x.data()[i] = static_cast<double>(Key{seed}.normal(static_cast<std::uint64_t>(i)));
  return x;
}

/// The gradient of this rank's x against differences of the sum of all ranks' losses.
template <class F>
void check_against_differences(Index rows, const F& operation) {
  const auto& w = world();
  const auto r = static_cast<std::uint64_t>(w.rank());
  auto x = random_rows(rows, 10 + r);
  const auto loss = [&](const auto& in) {
    const auto y = materialize(operation(in));
    auto weights = Tensor<double, shape_of<decltype(y)>>{y.shape()};
    for (Index i = 0; i < weights.size(); ++i)
      weights.data()[i] = static_cast<double>(Key{20 + r}.normal(static_cast<std::uint64_t>(i)));
    return sum(square(y) * weights);
  };
  const auto [value, gradient] = value_and_grad(loss, x);
  CHECK(value == Approx(loss(x).item()));
  for (int owner = 0; owner < w.size(); ++owner)
    for (Index i = 0; i < x.size(); ++i) {
      const auto moved = [&](double by) {
        auto y = detail::copy_of(x);
        if (w.rank() == owner) y.data()[i] += by;
        return w.all_reduce(static_cast<double>(loss(y).item()));
      };
      const double difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
      if (w.rank() == owner) CHECK(gradient.data()[i] == Approx(difference).epsilon(1e-6).margin(1e-8));
    }
}

}  // namespace

TEST_CASE("gradients of exchanges are those of the sum of all losses", "[mpi]") {
  const auto& w = world();
  check_against_differences(2, [&](const auto& x) { return all_reduce(x, w); });
  check_against_differences(2, [&](const auto& x) { return all_gather(x, w); });
  check_against_differences(2 * w.size(), [&](const auto& x) { return reduce_scatter(x, w); });
  check_against_differences(1, [&](const auto& x) { return all_reduce(x * 2.0, w) + x; });
  check_against_differences(2, [&](const auto& x) { return all_gather<-1>(x, w); });
  check_against_differences(2, [&](const auto& x) { return reduce_scatter<1>(all_gather<1>(x, w), w); });
  check_against_differences(2 * w.size(), [&](const auto& x) { return all_to_all(x, w); });
  check_against_differences(2, [&](const auto& x) { return broadcast(x, w, w.size() - 1) * x; });
}

namespace {

/// The exchanges of values that fit T give those of double, rounded, and so do their gradients.
template <class T>
void check_narrow(double epsilon) {
  const auto& w = world();
  const auto r = static_cast<std::uint64_t>(w.rank());
  const auto rounded = [](Rows x) {
    for (double& value : x.values()) value = static_cast<double>(static_cast<T>(static_cast<float>(value)));
    return x;
  };
  const auto wide = rounded(random_rows(2 * w.size(), 30 + r));
  const auto weights = rounded(random_rows(2 * w.size() * w.size(), 40 + r));
  const auto check = [&](const auto& operation) {
    const auto loss = [&](const auto& in) {
      const auto y = materialize(operation(in));
      using Y = std::remove_cvref_t<decltype(y)>;
      const auto given = materialize(slice<0>(weights, 0, y.shape()[0]));
      return sum(y * materialize(cast<element_of<Y>>(given)));
    };
    const auto [expected, gradient] = value_and_grad(loss, wide);
    const auto [value, narrow] = value_and_grad(loss, materialize(cast<T>(wide)));
    static_assert(std::same_as<element_of<std::remove_cvref_t<decltype(narrow)>>, T>);
    CHECK(static_cast<double>(value) == Approx(expected).epsilon(epsilon).margin(8 * epsilon));
    for (Index i = 0; i < gradient.size(); ++i)
      CHECK(static_cast<double>(narrow.data()[i]) ==
            Approx(gradient.data()[i]).epsilon(epsilon).margin(epsilon));
  };
  check([&](const auto& x) { return all_reduce(x, w); });
  check([&](const auto& x) { return all_gather(x, w); });
  check([&](const auto& x) { return reduce_scatter(x, w); });
  check([&](const auto& x) { return all_to_all(x, w); });
  check([&](const auto& x) { return broadcast(x, w, w.size() - 1); });
  check([&](const auto& x) { return copy_to_parts(x, w); });
  check([&](const auto& x) { return sum_of_parts(x, w); });
}

}  // namespace

TEST_CASE("exchanges in fp32 and bf16, and their gradients, are those in double, rounded", "[mpi]") {
  check_narrow<float>(1e-6);
  check_narrow<bf16>(1.0 / 128);
}

TEST_CASE("an axis that is not the first is gathered and scattered in its place", "[mpi]") {
  const auto& w = world();
  const Index own = 2, all = own * w.size();
  const auto number = [](Index sequence, Index row, Index column) {
    return static_cast<double>(100 * sequence + 10 * row + column);
  };
  Tensor<double, Shape<dyn, dyn, 3>> x{Shape<dyn, dyn, 3>{{7, own, 3}}};  // more sequences than go at a time
  for (Index s = 0; s < 7; ++s)
    for (Index r = 0; r < own; ++r)
      for (Index c = 0; c < 3; ++c) x.data()[(s * own + r) * 3 + c] = number(s, w.rank() * own + r, c);
  const auto whole = all_gather<-2>(x, w);
  REQUIRE(whole.shape() == Shape<dyn, dyn, 3>{{7, all, 3}});
  for (Index i = 0; i < whole.size(); ++i)
    CHECK(whole.data()[i] == number(i / (3 * all), i / 3 % all, i % 3));
  const auto back = reduce_scatter<1>(whole, w);
  REQUIRE(back.shape() == x.shape());
  for (Index i = 0; i < x.size(); ++i) CHECK(back.data()[i] == w.size() * x.data()[i]);
}

TEST_CASE("rows that do not divide are refused", "[mpi]") {
  const auto& w = world();
  if (w.size() == 1) return;
  CHECK_THROWS_WITH(reduce_scatter(random_rows(w.size() + 1, 1), w),
                    Catch::Contains("is not a multiple of " + std::to_string(w.size()) + " ranks"));
  CHECK_THROWS_WITH(all_to_all(random_rows(w.size() + 1, 1), w), Catch::Contains("all_to_all: extent"));
}

TEST_CASE("two products that ranks share are the whole products", "[mpi]") {
  const auto& w = world();
  const Index hidden = 12, own = hidden / w.size(), first = own * w.rank();
  const auto x = random_rows(5, 1), up_rows = random_rows(hidden, 2), down = random_rows(hidden, 3);
  const auto network = [](const auto& in, const auto& a, const auto& b) {
    return matmul(tanh(matmul(in, transpose(a))), b);
  };
  const auto whole = [&](const auto& in, const auto& a, const auto& b) {
    return sum(square(network(in, a, b)));
  };
  const auto parted = [&](const auto& in, const auto& a, const auto& b) {
    return sum(square(sum_of_parts(network(copy_to_parts(in, w), a, b), w)));
  };
  const auto mine = [&](const Rows& m) { return materialize(slice<0>(m, first, own)); };
  const auto [loss, gradients] = value_and_grad(whole, x, up_rows, down);
  const auto [same, own_gradients] = value_and_grad(parted, x, mine(up_rows), mine(down));
  CHECK(same == Approx(loss));
  const auto check = [](const auto& got, const auto& expected) {
    REQUIRE(got.size() == expected.size());
    for (Index i = 0; i < got.size(); ++i) CHECK(got.data()[i] == Approx(expected.data()[i]).epsilon(1e-9));
  };
  check(std::get<0>(own_gradients), std::get<0>(gradients));
  check(std::get<1>(own_gradients), mine(std::get<1>(gradients)));
  check(std::get<2>(own_gradients), mine(std::get<2>(gradients)));
}
