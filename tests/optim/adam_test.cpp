#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "tests/optim/optimizer_laws.hpp"
#include "tests/worse.hpp"

namespace {

using burrow::AdamOptions;
using burrow::AdamSlice;
using burrow::bf16;
using burrow::Bf16Update;
using burrow::Key;

/// Adam as the paper writes it, one number at a time.
struct ReferenceAdam {
  AdamOptions options;
  std::vector<double> parameters, m, v;
  double b1_power = 1, b2_power = 1;

  ReferenceAdam(std::vector<double> initial, const AdamOptions& o)
      : options{o}, parameters{std::move(initial)}, m(parameters.size()), v(parameters.size()) {}

  void step(const std::vector<double>& gradient) {
    b1_power *= options.beta1;
    b2_power *= options.beta2;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      m[i] = options.beta1 * m[i] + (1 - options.beta1) * gradient[i];
      v[i] = options.beta2 * v[i] + (1 - options.beta2) * gradient[i] * gradient[i];
      const double m_hat = m[i] / (1 - b1_power);
      const double v_hat = v[i] / (1 - b2_power);
      parameters[i] -= options.learning_rate *
                       (m_hat / (std::sqrt(v_hat) + options.epsilon) + options.weight_decay * parameters[i]);
    }
  }
};

template <class P, class G>
void check_against_reference(const AdamOptions& options, double tolerance) {
  constexpr std::size_t size = 1037;
  auto parameters = normal_values<P>(Key{1}, size);
  ReferenceAdam reference{std::vector<double>(parameters.begin(), parameters.end()), options};
  AdamSlice<P> adam{std::span<const P>{parameters}, 0, options};
  for (std::uint64_t step = 0; step < 300; ++step) {
    const auto gradient = normal_values<G>(Key{2}.fold_in(step), size);
    adam.step(std::span{parameters}, std::span<const G>{gradient});
    reference.step(std::vector<double>(gradient.begin(), gradient.end()));
  }
  double worst = 0;
  for (std::size_t i = 0; i < size; ++i)
    worst = worse(worst, std::abs(static_cast<double>(parameters[i]) - reference.parameters[i]));
  REQUIRE(worst < tolerance);
}

/// Mean of the parameters after minimising (p - 1.5)^2 / 2 from 1, with steps far below a bf16 unit.
double mean_after_descent(Bf16Update update) {
  std::vector<bf16> parameters(64, bf16{1.0f});
  AdamSlice<bf16> adam{
      std::span<const bf16>{parameters}, 0, {.learning_rate = 2e-4, .bf16_update = update, .key = Key{7}}};
  std::vector<float> gradient(parameters.size());
  for (int step = 0; step < 6000; ++step) {
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = static_cast<float>(parameters[i]) - 1.5f;
    adam.step(std::span{parameters}, std::span<const float>{gradient});
  }
  double sum = 0;
  for (const bf16 p : parameters) sum += static_cast<double>(p);
  return sum / static_cast<double>(parameters.size());
}

}  // namespace

TEST_CASE("Adam follows the reference", "[adam]") {
  const AdamOptions plain{.learning_rate = 1e-2, .beta2 = 0.95};
  check_against_reference<double, double>(plain, 1e-12);
  check_against_reference<double, float>(plain, 1e-12);
  check_against_reference<float, float>(plain, 2e-5);
  check_against_reference<float, bf16>(plain, 2e-5);
  check_against_reference<bf16, float>(plain, 0.02);
}

TEST_CASE("AdamW decays the parameters apart from the moments", "[adam]") {
  check_against_reference<double, double>({.learning_rate = 1e-2, .weight_decay = 0.1}, 1e-12);
  std::vector<double> parameters = {2.0};
  AdamSlice<double> adam{std::span<const double>{parameters}, 0, {.learning_rate = 0.1, .weight_decay = 0.5}};
  adam.step(std::span{parameters}, std::span<const double>{std::vector<double>{0.0}});
  REQUIRE(parameters[0] == Approx(2.0 * (1 - 0.1 * 0.5)).epsilon(1e-15));
}

TEST_CASE("the first step of Adam is the learning rate, whatever the gradient's size", "[adam]") {
  std::vector<double> parameters = {0, 0};
  const std::vector<double> gradient = {1e3, -1e-3};
  AdamSlice<double> adam{std::span<const double>{parameters}, 0, {.learning_rate = 0.5}};
  SECTION("the one of the options") {
    adam.step(std::span{parameters}, std::span<const double>{gradient});
    REQUIRE(parameters[0] == Approx(-0.5));
    REQUIRE(parameters[1] == Approx(0.5).epsilon(1e-4));
  }
  SECTION("the one of the step") {
    adam.step(std::span{parameters}, std::span<const double>{gradient}, {.learning_rate = 0.25});
    REQUIRE(parameters[0] == Approx(-0.25));
  }
}

TEST_CASE("the gradient's factor is a smaller gradient", "[adam]") {
  auto a = normal_values<float>(Key{1}, 100), b = a;
  const auto gradient = normal_values<float>(Key{2}, 100);
  auto halved = gradient;
  for (float& g : halved) g *= 0.5f;
  AdamSlice<float> first{std::span<const float>{a}, 0, {}}, second{std::span<const float>{b}, 0, {}};
  first.step(std::span{a}, std::span<const float>{gradient}, {.gradient_factor = 0.5});
  second.step(std::span{b}, std::span<const float>{halved});
  REQUIRE(same_bits(a, b));
}

TEST_CASE("Adam's bits depend on no threads, slices or restarts", "[adam]") {
  const AdamOptions options{.weight_decay = 0.1};
  check_bits_do_not_depend_on_threads_slices_or_restarts<float, AdamSlice<float>>(options);
  check_bits_do_not_depend_on_threads_slices_or_restarts<double, AdamSlice<double>>(options);
  for (const auto update : {Bf16Update::stochastic, Bf16Update::fp32_copy, Bf16Update::nearest})
    check_bits_do_not_depend_on_threads_slices_or_restarts<bf16, AdamSlice<bf16>>(
        AdamOptions{.bf16_update = update, .key = Key{9}});
}

TEST_CASE("small updates reach bf16 parameters by stochastic rounding or an fp32 copy, not by nearest",
          "[adam]") {
  REQUIRE(mean_after_descent(Bf16Update::stochastic) == Approx(1.5).margin(0.005));
  REQUIRE(mean_after_descent(Bf16Update::fp32_copy) == Approx(1.5).margin(0.005));
  REQUIRE(mean_after_descent(Bf16Update::nearest) == 1.0);
}

TEST_CASE("half parameters are updated from an fp32 copy, or rounded to nearest", "[adam]") {
  using burrow::half;
  std::vector<half> parameters(100, half{1.0f}), rounded = parameters;
  const std::span<const half> all{parameters};
  AdamSlice<half> exact{all, 0, {.learning_rate = 1e-4}};
  AdamSlice<half> nearest{all, 0, {.learning_rate = 1e-4, .bf16_update = Bf16Update::nearest}};
  const std::vector<float> gradient(100, 1.0f);
  for (int step = 0; step < 100; ++step) {
    exact.step(std::span{parameters}, std::span<const float>{gradient});
    nearest.step(std::span{rounded}, std::span<const float>{gradient});
  }
  REQUIRE(static_cast<float>(parameters[99]) == Approx(0.99f).margin(1e-3));
  REQUIRE(static_cast<float>(rounded[99]) == 1.0f);
  REQUIRE_THROWS_AS((AdamSlice<half>{all, 0, {.bf16_update = Bf16Update::stochastic}}), burrow::ValueError);
}

TEST_CASE("the state names what is stored", "[adam]") {
  std::vector<bf16> parameters(3, bf16{1.0f});
  AdamSlice<bf16> with_copy{std::span<const bf16>{parameters}, 0, {}};
  REQUIRE(with_copy.state().values.size() == 3);
  REQUIRE(with_copy.state().values[2].name == "adam.parameters_fp32");
  REQUIRE(with_copy.state().values[2].values[0] == 1.0f);
  AdamSlice<bf16> without{std::span<const bf16>{parameters}, 0, {.bf16_update = Bf16Update::stochastic}};
  REQUIRE(without.state().values.size() == 2);
  REQUIRE(without.state().steps == 0);
}

TEST_CASE("impossible options and sizes are refused", "[adam]") {
  std::vector<float> parameters(3), gradient(2);
  const auto build = [&](const AdamOptions& options) {
    return AdamSlice<float>{std::span<const float>{parameters}, 0, options};
  };
  const double nan = std::nan("");
  for (const double bad : {-1.0, nan}) {
    REQUIRE_THROWS_AS(build({.learning_rate = bad}), burrow::ValueError);
    REQUIRE_THROWS_AS(build({.beta1 = bad}), burrow::ValueError);
    REQUIRE_THROWS_AS(build({.beta2 = bad}), burrow::ValueError);
    REQUIRE_THROWS_AS(build({.epsilon = bad}), burrow::ValueError);
    REQUIRE_THROWS_AS(build({.weight_decay = bad}), burrow::ValueError);
  }
  REQUIRE_THROWS_AS(build({.beta2 = 1}), burrow::ValueError);
  auto adam = build({});
  REQUIRE_THROWS_WITH(adam.step(std::span{parameters}, std::span<const float>{gradient}),
                      Catch::StartsWith("optimizer: 2 gradient values, built for 3 ["));
}
