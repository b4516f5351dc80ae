#include <burrow/nn/layers.hpp>
#include <burrow/optim/average.hpp>
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/optim/optimizer_laws.hpp"
#include "tests/worse.hpp"

using namespace burrow;

namespace {

constexpr std::size_t count = 20'011;

template <class P>
void check_against_reference(const AverageOptions& options, double tolerance) {
  std::vector<P> parameters = normal_values<P>(Key{1}, count);
  std::vector<double> expected(count);
  if (!options.bias_correction) expected.assign(parameters.begin(), parameters.end());
  AverageSlice<P> average{std::span<const P>{parameters}, options};
  double correction = 1;
  for (std::uint64_t step = 0; step < 20; ++step) {
    parameters = normal_values<P>(Key{2}.fold_in(step), count);
    average.update(parameters);
    correction *= options.decay;
    for (std::size_t i = 0; i < count; ++i)
      expected[i] = options.decay * expected[i] + (1 - options.decay) * static_cast<double>(parameters[i]);
  }
  std::vector<P> result(count);
  average.write(result);
  double worst = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double e = options.bias_correction ? expected[i] / (1 - correction) : expected[i];
    worst = worse(worst, std::abs(static_cast<double>(result[i]) - e));
  }
  REQUIRE(worst < tolerance);
}

}  // namespace

TEST_CASE("the average follows its formula, corrected or not", "[average]") {
  for (const bool corrected : {false, true}) {
    check_against_reference<double>({.decay = 0.9, .bias_correction = corrected}, 1e-13);
    check_against_reference<float>({.decay = 0.9, .bias_correction = corrected}, 1e-5);
    check_against_reference<bf16>({.decay = 0.9, .bias_correction = corrected}, 1e-2);
  }
}

TEST_CASE("a corrected average of one update is what was taken in", "[average]") {
  const auto values = normal_values<double>(Key{1}, 100);
  AverageSlice<double> average{std::span<const double>{values}, {.bias_correction = true}};
  std::vector<double> result(100);
  REQUIRE_THROWS_WITH(average.write(result),
                      Catch::StartsWith("average: it had no update yet [average_test.cpp:"));
  average.update(values);
  average.write(result);
  for (std::size_t i = 0; i < 100; ++i) REQUIRE(result[i] == Approx(values[i]));
}

TEST_CASE("the average's bits depend on no threads or slices", "[average]") {
  const auto first = normal_values<float>(Key{1}, count), second = normal_values<float>(Key{2}, count);
  std::vector<float> expected(count), result(count);
  const Threads scope{1};
  AverageSlice<float> whole{std::span<const float>{first}, {}};
  whole.update(second);
  whole.write(expected);
  set_threads(5);
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{8191}}) {
    const std::span<const float> a{first}, b{second};
    AverageSlice<float> low{a.first(cut), {}}, high{a.subspan(cut), {}};
    low.update(b.first(cut));
    high.update(b.subspan(cut));
    low.write(std::span{result}.first(cut));
    high.write(std::span{result}.subspan(cut));
    REQUIRE(same_bits(result, expected));
  }
}

TEMPLATE_TEST_CASE("the average takes the parameters' place and leaves it again", "[average]", Float32<>,
                   Bf16<>) {
  auto model = build<Linear<3, 4, TestType>>(Key{1});
  using P = typename TestType::parameter;
  const auto values = parameters(model).values();
  ParameterAverage average{model, {.decay = 0.5}};
  for (P& p : values) p = P(static_cast<float>(p) + 2);
  average.update(model);
  const std::vector<P> trained(values.begin(), values.end());
  {
    const auto averaged = average.exchange(model);
    for (std::size_t i = 0; i < trained.size(); ++i)
      REQUIRE(static_cast<float>(values[i]) == Approx(static_cast<float>(trained[i]) - 1).margin(0.02));
  }
  REQUIRE(same_bits(std::vector<P>(values.begin(), values.end()), trained));
  REQUIRE(average.state().steps == 1);
  REQUIRE(average.state().values[0].name == "average");
  average.write(model);
  REQUIRE(static_cast<float>(values[0]) == Approx(static_cast<float>(trained[0]) - 1).margin(0.02));
}

TEST_CASE("impossible averages are refused", "[average]") {
  std::vector<float> values(3);
  REQUIRE_THROWS_AS((AverageSlice<float>{std::span<const float>{values}, {.decay = 1}}), ValueError);
  AverageSlice<float> average{std::span<const float>{values}, {}};
  REQUIRE_THROWS_WITH(average.update(std::span<const float>{values}.first(2)),
                      Catch::StartsWith("average: 2 parameters, built for 3 ["));
}
