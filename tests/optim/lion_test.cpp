#include <burrow/optim/lion.hpp>
#include <catch2/catch.hpp>
#include <vector>

#include "tests/optim/optimizer_laws.hpp"
#include "tests/worse.hpp"

namespace {

using burrow::bf16;
using burrow::Bf16Update;
using burrow::Key;
using burrow::LionOptions;
using burrow::LionSlice;

template <class P>
void check_against_reference(const LionOptions& options, double tolerance) {
  constexpr std::size_t size = 1037;
  auto parameters = normal_values<P>(Key{1}, size);
  std::vector<double> expected(parameters.begin(), parameters.end()), m(size);
  LionSlice<P> lion{std::span<const P>{parameters}, 0, options};
  for (std::uint64_t step = 0; step < 50; ++step) {
    const auto gradient = normal_values<P>(Key{2}.fold_in(step), size);
    lion.step(std::span{parameters}, std::span<const P>{gradient});
    for (std::size_t i = 0; i < size; ++i) {
      const auto g = static_cast<double>(gradient[i]);
      const double direction = options.beta1 * m[i] + (1 - options.beta1) * g;
      m[i] = options.beta2 * m[i] + (1 - options.beta2) * g;
      const int sign = (direction > 0) - (direction < 0);
      expected[i] -= options.learning_rate * (sign + options.weight_decay * expected[i]);
    }
  }
  double worst = 0;
  for (std::size_t i = 0; i < size; ++i)
    worst = worse(worst, std::abs(static_cast<double>(parameters[i]) - expected[i]));
  REQUIRE(worst < tolerance);
}

}  // namespace

TEST_CASE("Lion follows the paper's algorithm", "[lion]") {
  check_against_reference<double>({.learning_rate = 1e-2}, 1e-12);
  check_against_reference<double>({.learning_rate = 1e-2, .beta1 = 0.5, .weight_decay = 0.3}, 1e-12);
  check_against_reference<float>({.learning_rate = 1e-3}, 1e-4);
}

TEST_CASE("Lion's bits depend on no threads, slices or restarts", "[lion]") {
  const LionOptions options{.learning_rate = 1e-3, .weight_decay = 0.1, .key = Key{9}};
  check_bits_do_not_depend_on_threads_slices_or_restarts<float, LionSlice<float>>(options);
  LionOptions rounded = options;
  rounded.bf16_update = Bf16Update::stochastic;
  check_bits_do_not_depend_on_threads_slices_or_restarts<bf16, LionSlice<bf16>>(rounded);
}

TEST_CASE("where Lion has no direction nothing moves", "[lion]") {
  std::vector<float> parameters = {1, 2, 3};
  LionSlice<float> lion{std::span<const float>{parameters}, 0, {.learning_rate = 0.5}};
  lion.step(std::span{parameters}, std::span<const float>{std::vector<float>{0, 7, -1e-20f}});
  REQUIRE(parameters == std::vector<float>{1, 1.5f, 3.5f});
  REQUIRE(lion.state().values[0].name == "lion.momentum");
  REQUIRE_THROWS_AS((LionSlice<float>{std::span<const float>{parameters}, 0, {.beta2 = 1}}),
                    burrow::ValueError);
}
