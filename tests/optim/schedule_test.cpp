#include <burrow/optim/schedule.hpp>
#include <catch2/catch.hpp>
#include <cmath>

namespace {

using burrow::ConstantSchedule;
using burrow::CosineSchedule;
using burrow::Index;
using burrow::JoinedSchedule;
using burrow::LinearSchedule;
using burrow::warmup_cosine;

// Gopher 280B: 1e-7 to 4e-5 over 1500 steps, then a cosine down to a tenth.
constexpr auto gopher = warmup_cosine({.peak = 4e-5, .total_steps = 71'500});
static_assert(gopher(0) == 1e-7f);
static_assert(gopher(1500) == 4e-5f);
static_assert(gopher(71'500) == 4e-6f);
static_assert(gopher(1'000'000) == 4e-6f);
static_assert(burrow::Schedule<decltype(gopher)>);
static_assert(!burrow::Schedule<int>);

}  // namespace

TEST_CASE("Gopher's schedule rises along a line and falls along a cosine", "[schedule]") {
  REQUIRE(gopher(750) == Approx((1e-7 + 4e-5) / 2));
  REQUIRE(gopher(1499) < gopher(1500));
  REQUIRE(gopher(1500 + 35'000) == Approx(0.55 * 4e-5));
  for (Index step = 1; step <= 1500; ++step) REQUIRE(gopher(step) > gopher(step - 1));
  for (Index step = 1501; step < 71'500; ++step) REQUIRE(gopher(step) <= gopher(step - 1));
}

TEST_CASE("the schedules are their formulas", "[schedule]") {
  const CosineSchedule cosine{2.0, 0.25, 1000};
  const LinearSchedule linear{3.0, 1.0, 1000};
  for (Index step = 0; step <= 1000; ++step) {
    const double progress = static_cast<double>(step) / 1000;
    REQUIRE(cosine(step) ==
            Approx(2 * (0.25 + 0.75 * (1 + std::cos(std::acos(-1.0) * progress)) / 2)).epsilon(1e-7));
    REQUIRE(linear(step) == Approx(3 - 2 * progress).epsilon(1e-7));
  }
  REQUIRE(ConstantSchedule{0.5}(123) == 0.5f);
}

TEST_CASE("the constexpr cosine is the cosine", "[schedule]") {
  for (int i = 0; i <= 10'000; ++i) {
    const double x = std::acos(-1.0) * i / 10'000;
    REQUIRE(std::abs(burrow::detail::cosine(x) - std::cos(x)) < 1e-15);
  }
}

TEST_CASE("joined schedules switch at the boundary and count from there", "[schedule]") {
  const JoinedSchedule joined{ConstantSchedule{1}, 10,
                              JoinedSchedule{LinearSchedule{5, 9, 4}, 2, ConstantSchedule{7}}};
  REQUIRE(joined(9) == 1);
  REQUIRE(joined(10) == 5);
  REQUIRE(joined(11) == 6);
  REQUIRE(joined(12) == 7);
}

TEST_CASE("a schedule without steps is its end; impossible ones are refused", "[schedule]") {
  REQUIRE(LinearSchedule{1, 2, 0}(0) == 2);
  REQUIRE(CosineSchedule{1, 0.5, 0}(0) == 0.5f);
  REQUIRE(warmup_cosine({.peak = 1, .total_steps = 10, .warmup_steps = 0})(0) == 1);
  REQUIRE_THROWS_AS(LinearSchedule(1, 2, -1), burrow::ValueError);
  REQUIRE_THROWS_AS(warmup_cosine({.peak = 1, .total_steps = 1000}), burrow::ValueError);
}
