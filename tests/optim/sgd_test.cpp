#include <burrow/optim/sgd.hpp>
#include <catch2/catch.hpp>
#include <vector>

#include "tests/optim/optimizer_laws.hpp"

namespace {

using burrow::bf16;
using burrow::Bf16Update;
using burrow::Key;
using burrow::SgdOptions;
using burrow::SgdSlice;

template <class P>
void check_against_reference(const SgdOptions& options, double tolerance) {
  constexpr std::size_t size = 1037;
  auto parameters = normal_values<P>(Key{1}, size);
  std::vector<double> expected(parameters.begin(), parameters.end()), velocity(size);
  SgdSlice<P> sgd{std::span<const P>{parameters}, 0, options};
  for (std::uint64_t step = 0; step < 200; ++step) {
    const auto gradient = normal_values<P>(Key{2}.fold_in(step), size);
    sgd.step(std::span{parameters}, std::span<const P>{gradient});
    for (std::size_t i = 0; i < size; ++i) {
      const auto g = static_cast<double>(gradient[i]);
      velocity[i] = options.momentum * velocity[i] + (1 - options.dampening) * g;
      const double direction = options.nesterov ? g + options.momentum * velocity[i] : velocity[i];
      expected[i] -= options.learning_rate * (direction + options.weight_decay * expected[i]);
    }
  }
  for (std::size_t i = 0; i < size; ++i)
    REQUIRE(static_cast<double>(parameters[i]) == Approx(expected[i]).margin(tolerance));
}

}  // namespace

TEST_CASE("gradient descent follows the reference", "[sgd]") {
  for (const SgdOptions& options :
       {SgdOptions{}, SgdOptions{.momentum = 0.9}, SgdOptions{.momentum = 0.9, .nesterov = true},
        SgdOptions{.momentum = 0.5, .weight_decay = 0.1}, SgdOptions{.momentum = 0.9, .dampening = 0.9}}) {
    check_against_reference<double>(options, 1e-12);
    check_against_reference<float>(options, 1e-4);
  }
}

TEST_CASE("gradient descent's bits depend on no threads, slices or restarts", "[sgd]") {
  const SgdOptions options{.learning_rate = 1e-3, .momentum = 0.9, .nesterov = true, .key = Key{3}};
  check_bits_do_not_depend_on_threads_slices_or_restarts<float, SgdSlice<float>>(options);
  for (const auto update : {Bf16Update::stochastic, Bf16Update::fp32_copy, Bf16Update::nearest}) {
    SgdOptions rounded = options;
    rounded.bf16_update = update;
    check_bits_do_not_depend_on_threads_slices_or_restarts<bf16, SgdSlice<bf16>>(rounded);
  }
}

TEST_CASE("gradient descent without momentum remembers only its steps", "[sgd]") {
  std::vector<float> parameters = {1, 2};
  SgdSlice<float> sgd{std::span<const float>{parameters}, 0, {.learning_rate = 0.5}};
  sgd.step(std::span{parameters}, std::span<const float>{std::vector<float>{1, -1}});
  REQUIRE(parameters == std::vector<float>{0.5f, 2.5f});
  REQUIRE(sgd.state().values.empty());
  REQUIRE(sgd.state().steps == 1);
}

TEST_CASE("momenta that make no sense are refused", "[sgd]") {
  std::vector<float> parameters(1);
  REQUIRE_THROWS_AS(SgdSlice<float>(std::span<const float>{parameters}, 0, {.nesterov = true}),
                    burrow::ValueError);
  for (const SgdOptions& options : {SgdOptions{.momentum = 1}, SgdOptions{.dampening = 0.5},
                                    SgdOptions{.momentum = 0.9, .dampening = 0.1, .nesterov = true}})
    REQUIRE_THROWS_AS(SgdSlice<float>(std::span<const float>{parameters}, 0, options), burrow::ValueError);
}
