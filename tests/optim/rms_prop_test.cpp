#include <burrow/optim/rms_prop.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "tests/optim/optimizer_laws.hpp"
#include "tests/worse.hpp"

namespace {

using burrow::AdaGradOptions;
using burrow::AdaGradSlice;
using burrow::bf16;
using burrow::Key;
using burrow::RmsPropOptions;
using burrow::RmsPropSlice;

/// The reference's square after a gradient, from the one before.
template <class Options>
double next_square(const Options& options, double square, double gradient) {
  if constexpr (std::same_as<Options, RmsPropOptions>)
    return options.decay * square + (1 - options.decay) * gradient * gradient;
  else
    return square + gradient * gradient;
}

template <class Slice, class P, class Options>
void check_against_reference(const Options& options, double tolerance) {
  constexpr std::size_t size = 1037;
  auto parameters = normal_values<P>(Key{1}, size);
  std::vector<double> expected(parameters.begin(), parameters.end()), square(size);
  Slice slice{std::span<const P>{parameters}, 0, options};
  for (std::uint64_t step = 0; step < 100; ++step) {
    const auto gradient = normal_values<P>(Key{2}.fold_in(step), size);
    slice.step(std::span{parameters}, std::span<const P>{gradient});
    for (std::size_t i = 0; i < size; ++i) {
      const auto g = static_cast<double>(gradient[i]);
      square[i] = next_square(options, square[i], g);
      expected[i] -= options.learning_rate *
                     (g / (std::sqrt(square[i]) + options.epsilon) + options.weight_decay * expected[i]);
    }
  }
  double worst = 0;
  for (std::size_t i = 0; i < size; ++i)
    worst = worse(worst, std::abs(static_cast<double>(parameters[i]) - expected[i]));
  REQUIRE(worst < tolerance);
}

}  // namespace

TEST_CASE("RMSProp and AdaGrad follow their formulas", "[rms_prop]") {
  check_against_reference<RmsPropSlice<double>, double>(RmsPropOptions{.weight_decay = 0.1}, 1e-12);
  check_against_reference<RmsPropSlice<float>, float>(RmsPropOptions{.decay = 0.5}, 1e-4);
  check_against_reference<AdaGradSlice<double>, double>(AdaGradOptions{.weight_decay = 0.1}, 1e-12);
  check_against_reference<AdaGradSlice<float>, float>(AdaGradOptions{}, 1e-4);
}

TEST_CASE("the bits of RMSProp and AdaGrad depend on no threads, slices or restarts", "[rms_prop]") {
  check_bits_do_not_depend_on_threads_slices_or_restarts<float, RmsPropSlice<float>>(RmsPropOptions{});
  check_bits_do_not_depend_on_threads_slices_or_restarts<bf16, AdaGradSlice<bf16>>(AdaGradOptions{});
}

TEST_CASE("the states of RMSProp and AdaGrad have their names", "[rms_prop]") {
  std::vector<bf16> parameters(2, bf16{1.0f});
  const std::span<const bf16> all{parameters};
  RmsPropSlice<bf16> rms_prop{all, 0, {}};
  AdaGradSlice<bf16> ada_grad{all, 0, {}};
  REQUIRE(rms_prop.state().values[0].name == "rms_prop.second_moment");
  REQUIRE(rms_prop.state().values[1].name == "rms_prop.parameters_fp32");
  REQUIRE(ada_grad.state().values[0].name == "ada_grad.sum_of_squares");
  REQUIRE(ada_grad.state().values[1].name == "ada_grad.parameters_fp32");
  REQUIRE_THROWS_AS((RmsPropSlice<bf16>{all, 0, {.decay = 1}}), burrow::ValueError);
  REQUIRE_THROWS_AS((AdaGradSlice<bf16>{all, 0, {.epsilon = 0}}), burrow::ValueError);
}
