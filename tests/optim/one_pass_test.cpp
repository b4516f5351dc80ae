// The one pass that all elementwise optimizers share: for every precision and every size, a step is the
// rule's formula computed element by element in double, rounded as the parameters are stored.
#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "tests/optim/optimizer_laws.hpp"

namespace {

using namespace burrow;

constexpr AdamOptions numbers{.learning_rate = 0.02, .beta2 = 0.95, .weight_decay = 0.3, .key = Key{31}};

/// One element's AdamW, in double; `stored` are the parameters as they are kept with full precision.
struct Plain {
  std::vector<double> stored, m, v;

  template <class P>
  explicit Plain(const std::vector<P>& parameters)
      : stored(parameters.begin(), parameters.end()), m(stored.size()), v(stored.size()) {}

  double step(std::size_t i, double g, double t) {
    m[i] = numbers.beta1 * m[i] + (1 - numbers.beta1) * g;
    v[i] = numbers.beta2 * v[i] + (1 - numbers.beta2) * g * g;
    const double mean = m[i] / (1 - std::pow(numbers.beta1, t));
    const double variance = v[i] / (1 - std::pow(numbers.beta2, t));
    return stored[i] - numbers.learning_rate * (mean / (std::sqrt(variance) + numbers.epsilon) +
                                                numbers.weight_decay * stored[i]);
  }
};

/// The distance of neighbouring bf16 numbers about x.
double bf16_unit(double x) { return std::ldexp(1.0, std::ilogb(x) - 7); }

/// Follows the optimizer for three steps from the parameters that it stored, and checks each element of each.
template <class P>
void check_size(std::size_t size, Index first_index, Bf16Update mode) {
  constexpr double clipping = 0.37;
  AdamOptions options = numbers;
  options.bf16_update = mode;
  auto parameters = normal_values<P>(Key{1}, size);
  AdamSlice<P> adam{std::span<const P>{parameters}, first_index, options};
  Plain plain{parameters};
  bool near = true, random = true;
  for (std::uint64_t step = 0; step < 3; ++step) {
    const auto gradient = normal_values<float>(Key{2}.fold_in(step), size);
    adam.step(std::span{parameters}, std::span<const float>{gradient}, {.gradient_factor = clipping});
    const auto state = adam.state().values;
    for (std::size_t i = 0; i < size; ++i) {
      const double exact =
          plain.step(i, clipping * static_cast<double>(gradient[i]), static_cast<double>(step + 1));
      const auto now = static_cast<double>(parameters[i]);
      const double error = std::abs(now - exact), slack = 1e-5 * (1 + std::abs(exact));
      if (!Narrow<P> || mode == Bf16Update::fp32_copy) {
        plain.stored[i] = exact;
        if (Narrow<P>) {
          near &= now == static_cast<double>(static_cast<P>(state[2].values[i]));
          near &= std::abs(static_cast<double>(state[2].values[i]) - exact) < slack;
        } else {
          near &= error < slack;
        }
      } else {
        near &= error < (mode == Bf16Update::nearest ? 0.5 : 1.0) * bf16_unit(exact) + slack;
        if (mode == Bf16Update::stochastic && step == 0) {
          const auto index = static_cast<std::uint64_t>(first_index) + i;
          const auto by_bits = [&](double value) {
            return static_cast<double>(round_stochastically(static_cast<float>(value),
                                                            random_bits16(numbers.key.fold_in(0), index)));
          };
          random &= now == by_bits(exact) || now == by_bits(exact - slack) || now == by_bits(exact + slack);
        }
        plain.stored[i] = now;
      }
    }
  }
  INFO("size " << size << " from " << first_index << ", update " << static_cast<int>(mode));
  CHECK(near);
  CHECK(random);
}

}  // namespace

TEST_CASE("a step is the formula, element by element, for every precision and size", "[one_pass]") {
  for (const std::size_t size : {0u, 1u, 3u, 15u, 16u, 17u, 127u, 128u, 129u, 1023u, 1025u, 9001u}) {
    check_size<float>(size, 0, Bf16Update::nearest);
    for (const auto mode : {Bf16Update::fp32_copy, Bf16Update::nearest, Bf16Update::stochastic})
      for (const Index first : {0, 5, 128}) check_size<bf16>(size, first, mode);
  }
}

TEST_CASE("what is not finite stays visible in every precision", "[one_pass]") {
  for (const auto mode : {Bf16Update::fp32_copy, Bf16Update::nearest, Bf16Update::stochastic}) {
    std::vector<bf16> parameters(40, bf16{1.0f});
    AdamOptions options = numbers;
    options.bf16_update = mode;
    AdamSlice<bf16> adam{std::span<const bf16>{parameters}, 0, options};
    std::vector<float> gradient(40, 1.0f);
    gradient[3] = gradient[39] = std::nanf("");
    adam.step(std::span{parameters}, std::span<const float>{gradient});
    for (std::size_t i = 0; i < 40; ++i)
      CHECK(std::isnan(static_cast<float>(parameters[i])) == (i == 3 || i == 39));
  }
}
