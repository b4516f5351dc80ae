#include <burrow/optim/schedule.hpp>
#include <catch2/catch.hpp>
#include <cmath>

namespace {

using burrow::ConstantSchedule;
using burrow::CosineSchedule;
using burrow::ExponentialSchedule;
using burrow::Index;
using burrow::InverseSquareRootSchedule;
using burrow::JoinedSchedule;
using burrow::LinearSchedule;
using burrow::warmup;
using burrow::warmup_cosine;

// Gopher 280B: 1e-7 to 4e-5 over 1500 steps, then a cosine down to a tenth.
constexpr auto gopher = warmup_cosine({.peak = 4e-5, .total_steps = 71'500});
static_assert(gopher(0) == 1e-7f);
static_assert(gopher(1500) == 4e-5f);
static_assert(gopher(71'500) == 4e-6f);
static_assert(gopher(1'000'000) == 4e-6f);
static_assert(burrow::Schedule<decltype(gopher)>);
static_assert(!burrow::Schedule<int>);

// Warm-up, plateau, decay.
constexpr auto trapezoid =
    LinearSchedule{0, 2, 10}.then(10, ConstantSchedule{2}).then(50, 0.5 * LinearSchedule{4, 0, 20});
static_assert(trapezoid(5) == 1 && trapezoid(10) == 2 && trapezoid(49) == 2 && trapezoid(60) == 1 &&
              trapezoid(99) == 0);
static_assert(burrow::Schedule<decltype(trapezoid * 3)>);
static_assert((trapezoid * 3)(60) == 3);
static_assert(ExponentialSchedule{8, 0.5}(2) == 2 && ExponentialSchedule{8, 0.5, 10}(29) == 2);
static_assert(InverseSquareRootSchedule{1, 100}(300) == 0.5f);

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

TEST_CASE("a schedule without steps is its end, impossible ones are refused", "[schedule]") {
  REQUIRE(LinearSchedule{1, 2, 0}(0) == 2);
  REQUIRE(CosineSchedule{1, 0.5, 0}(0) == 0.5f);
  REQUIRE(warmup_cosine({.peak = 1, .total_steps = 10, .warmup_steps = 0})(0) == 1);
  REQUIRE_THROWS_AS(LinearSchedule(1, 2, -1), burrow::ValueError);
  REQUIRE_THROWS_AS(warmup_cosine({.peak = 1, .total_steps = 1000}), burrow::ValueError);
}

TEST_CASE("the inverse square root, stairs and exponentials are their formulas", "[schedule]") {
  const InverseSquareRootSchedule root{3.0, 40};
  const ExponentialSchedule exponential{2.0, 0.999}, stairs{2.0, 0.1, 30};
  for (Index step = 0; step <= 3000; ++step) {
    const auto t = static_cast<double>(step);
    REQUIRE(root(step) == Approx(3 / std::sqrt(1 + t / 40)).epsilon(1e-7));
    REQUIRE(exponential(step) == Approx(2 * std::pow(0.999, t)).epsilon(1e-7));
    REQUIRE(stairs(step) == Approx(2 * std::pow(0.1, std::floor(t / 30))).epsilon(1e-6).margin(1e-44));
  }
  for (const double x : {0.0, 1e-300, 1e-9, 0.5, 2.0, 1e9, 1e300})
    REQUIRE(burrow::detail::square_root(x) == Approx(std::sqrt(x)).epsilon(1e-15));
  REQUIRE_THROWS_AS(InverseSquareRootSchedule(1, 0), burrow::ValueError);
  REQUIRE_THROWS_AS(ExponentialSchedule(1, -0.5), burrow::ValueError);
  REQUIRE_THROWS_AS(ExponentialSchedule(1, 0.5, 0), burrow::ValueError);
}

TEST_CASE("a warm-up ends where its schedule begins", "[schedule]") {
  // Vaswani et al.: peak * min(t / warmup, sqrt(warmup / t)).
  const auto transformer = warmup(4000, InverseSquareRootSchedule{1e-3, 4000});
  REQUIRE(transformer(0) == 0);
  REQUIRE(transformer(2000) == Approx(0.5e-3));
  REQUIRE(transformer(4000) == Approx(1e-3));
  REQUIRE(transformer(16'000) == Approx(0.5e-3));
  REQUIRE(warmup(10, ConstantSchedule{2}, 1)(5) == 1.5f);
}

TEST_CASE("warmup_cosine has the bits of the line and the cosine it is made of", "[schedule]") {
  for (Index step = 0; step < 72'000; step += 7) {
    const float expected =
        step < 1500 ? LinearSchedule{1e-7, 4e-5, 1500}(step) : CosineSchedule{4e-5, 0.1, 70'000}(step - 1500);
    REQUIRE(gopher(step) == expected);
  }
}
