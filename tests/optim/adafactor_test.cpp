#include <burrow/optim/adafactor.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "tests/optim/optimizer_laws.hpp"
#include "tests/worse.hpp"

namespace {

using burrow::AdafactorOptions;
using burrow::AdafactorSlice;
using burrow::bf16;
using burrow::Bf16Update;
using burrow::Index;
using burrow::Key;
using burrow::ParameterLayout;

/// Parameters of these rows and columns, one after the other; rows = 1 makes a vector.
ParameterLayout layout_of(const std::vector<std::pair<Index, Index>>& shapes) {
  ParameterLayout layout;
  Index begin = 0;
  for (const auto& [rows, columns] : shapes) {
    layout.push_back({begin, rows, columns, {}});
    begin += rows * columns;
  }
  return layout;
}

double root_mean_square(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

/// Algorithms 4, 5 and 6 of the paper for one parameter, with its vectors of sums.
struct ReferenceAdafactor {
  AdafactorOptions options;
  std::size_t rows, columns;
  std::vector<double> x, r, c, v, m;
  double t = 0;

  ReferenceAdafactor(const AdafactorOptions& o, std::size_t n, std::size_t k, std::vector<double> initial)
      : options{o}, rows{n}, columns{k}, x{std::move(initial)}, r(n), c(k), v(n * k), m(n * k) {}

  std::vector<double> update(const std::vector<double>& g, double beta2) {
    std::vector<double> u(g.size());
    if (rows == 1) {
      for (std::size_t i = 0; i < g.size(); ++i) {
        v[i] = beta2 * v[i] + (1 - beta2) * (g[i] * g[i] + options.epsilon1);
        u[i] = g[i] / std::sqrt(v[i]);
      }
      return u;
    }
    std::vector<double> row(rows), column(columns);
    for (std::size_t i = 0; i < g.size(); ++i) {
      const double square = g[i] * g[i] + options.epsilon1;
      row[i / columns] += square;
      column[i % columns] += square;
    }
    double sum = 0;
    for (std::size_t i = 0; i < rows; ++i) sum += r[i] = beta2 * r[i] + (1 - beta2) * row[i];
    for (std::size_t j = 0; j < columns; ++j) c[j] = beta2 * c[j] + (1 - beta2) * column[j];
    for (std::size_t i = 0; i < g.size(); ++i) u[i] = g[i] / std::sqrt(r[i / columns] * c[i % columns] / sum);
    return u;
  }

  void step(const std::vector<double>& g) {
    ++t;
    auto u = update(g, 1 - std::pow(t, -options.decay_rate));
    const double clip = std::max(1.0, root_mean_square(u) / options.clip_threshold);
    const double rate =
        options.relative_step ? std::min(options.learning_rate, 1 / std::sqrt(t)) : options.learning_rate;
    const double scale = options.scale_parameter ? std::max(options.epsilon2, root_mean_square(x)) : 1.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      u[i] /= clip;
      if (options.beta1 > 0) u[i] = m[i] = options.beta1 * m[i] + (1 - options.beta1) * u[i];
      x[i] -= rate * scale * u[i] + rate * options.weight_decay * x[i];
    }
  }
};

template <class P>
void check_against_reference(const AdafactorOptions& options, double tolerance) {
  const auto layout = layout_of({{1, 37}, {5, 7}, {300, 130}, {1, 1}, {2, 3000}});
  const auto size = static_cast<std::size_t>(layout.back().end());
  auto parameters = normal_values<P>(Key{1}, size);
  std::vector<ReferenceAdafactor> references;
  for (const auto& place : layout)
    references.emplace_back(
        options, static_cast<std::size_t>(place.rows), static_cast<std::size_t>(place.columns),
        std::vector<double>(parameters.begin() + place.begin, parameters.begin() + place.end()));
  AdafactorSlice<P> adafactor{std::span<const P>{parameters}, 0, options, layout};
  for (std::uint64_t step = 0; step < 20; ++step) {
    const auto gradient = normal_values<P>(Key{2}.fold_in(step), size);
    adafactor.step(std::span{parameters}, std::span<const P>{gradient});
    double worst = 0;
    for (std::size_t i = 0; i < layout.size(); ++i) {
      const auto& place = layout[i];
      references[i].step({gradient.begin() + place.begin, gradient.begin() + place.end()});
      for (Index j = 0; j < place.size(); ++j)
        worst =
            worse(worst, std::abs(static_cast<double>(parameters[static_cast<std::size_t>(place.begin + j)]) -
                                  references[i].x[static_cast<std::size_t>(j)]));
    }
    REQUIRE(worst < tolerance);
  }
}

}  // namespace

TEST_CASE("Adafactor follows the paper's algorithms", "[adafactor]") {
  for (const AdafactorOptions& options :
       {AdafactorOptions{}, AdafactorOptions{.clip_threshold = 0.25, .beta1 = 0.9},
        AdafactorOptions{.learning_rate = 1e-3, .relative_step = false, .scale_parameter = false},
        AdafactorOptions{.decay_rate = 0.5, .weight_decay = 0.1}}) {
    check_against_reference<double>(options, 1e-12);
    check_against_reference<float>(options, 2e-5);
  }
}

TEST_CASE("Adafactor's bits depend on no threads, slices or restarts", "[adafactor]") {
  const auto layout = layout_of({{1, 1001}, {700, 130}, {1, 70'000}, {1, 1}, {40, 1}, {3, 5}});
  const std::vector<std::size_t> cuts = {1001, 1001 + 91'000, 1001 + 91'000 + 70'001};
  const AdafactorOptions options{.beta1 = 0.9, .weight_decay = 0.1, .key = Key{9}};
  check_bits_do_not_depend_on_threads_slices_or_restarts<float, AdafactorSlice<float>>(options, layout, cuts);
  for (const auto update : {Bf16Update::stochastic, Bf16Update::fp32_copy}) {
    AdafactorOptions rounded = options;
    rounded.bf16_update = update;
    rounded.beta1 = 0;
    check_bits_do_not_depend_on_threads_slices_or_restarts<bf16, AdafactorSlice<bf16>>(rounded, layout, cuts);
  }
}

TEST_CASE("Adafactor remembers rows and columns of a matrix, all of a vector", "[adafactor]") {
  const auto layout = layout_of({{1, 10}, {20, 30}});
  std::vector<bf16> parameters(610, bf16{1.0f});
  AdafactorSlice<bf16> adafactor{std::span<const bf16>{parameters}, 0, {.beta1 = 0.5}, layout};
  const auto state = adafactor.state();
  REQUIRE(state.values.size() == 5);
  REQUIRE(state.values[0].name == "adafactor.row_moment");
  REQUIRE(state.values[0].values.size() == 20);
  REQUIRE(state.values[1].name == "adafactor.column_moment");
  REQUIRE(state.values[1].values.size() == 30);
  REQUIRE(state.values[2].name == "adafactor.vector_moment");
  REQUIRE(state.values[2].values.size() == 10);
  REQUIRE(state.values[3].values.size() == 610);
  REQUIRE(state.values[4].name == "adafactor.parameters_fp32");
}

TEST_CASE("a gradient of zeros moves nothing, and makes no NaN", "[adafactor]") {
  const auto layout = layout_of({{1, 10}, {20, 30}});
  auto parameters = normal_values<float>(Key{4}, 610);
  const auto before = parameters;
  AdafactorSlice<float> adafactor{std::span<const float>{parameters}, 0, {}, layout};
  const std::vector<float> gradient(610);
  for (int step = 0; step < 3; ++step)
    adafactor.step(std::span{parameters}, std::span<const float>{gradient});
  REQUIRE(same_bits(parameters, before));
}

TEST_CASE("an Adafactor slice that cuts a parameter is refused", "[adafactor]") {
  const auto layout = layout_of({{1, 10}, {20, 30}});
  std::vector<float> parameters(610);
  const std::span<const float> all{parameters};
  REQUIRE_THROWS_WITH((AdafactorSlice<float>{all.first(20), 0, {}, layout}),
                      Catch::StartsWith("Adafactor: a slice holds whole parameters, but this one cuts the "
                                        "parameter of elements 10 to 610"));
  REQUIRE_THROWS_WITH(
      (AdafactorSlice<float>{all, 0, {}, {}}),
      Catch::StartsWith("Adafactor: needs the parameters' layout, to know their rows and columns"));
  REQUIRE_THROWS_WITH((AdafactorSlice<float>{all, 1, {}, layout}),
                      Catch::StartsWith("optimizer: the slice ends at element 611, the layout at 610"));
  REQUIRE_THROWS_AS((AdafactorSlice<float>{all, 0, {.clip_threshold = 0}, layout}), burrow::ValueError);
  REQUIRE_THROWS_AS((AdafactorSlice<float>{all, 0, {.decay_rate = 0}, layout}), burrow::ValueError);
  REQUIRE_THROWS_AS((AdafactorSlice<float>{all, 0, {.beta1 = 1}, layout}), burrow::ValueError);
}
