#include <burrow/nn/combinators.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/optim/adafactor.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/sgd.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>

#include "tests/optim/optimizer_laws.hpp"

using namespace burrow;

namespace groups_test {

struct Block {
  RmsNorm<4> norm;
  Linear<4, 4> inner;
  auto operator()(const auto& x) const { return x + inner(norm(x)); }
};

struct Network {
  Linear<3, 4> up;
  Repeat<Block, 2> blocks;
  Linear<4, 2> down;
};

constexpr Index up = 3 * 4 + 4, block = 4 + 16 + 4, down = 4 * 2 + 2, total = up + 2 * block + down;

/// What has moved after a step, by name; every element of a parameter moves alike.
template <class Optimizer>
std::map<std::string, float> moves(Network& model, Optimizer& optimizer, float gradient_of_all = 1) {
  const auto flat = parameters(model).values();
  const std::vector<float> before(flat.begin(), flat.end());
  Gradient gradient{model};
  std::ranges::fill(gradient.values(), gradient_of_all);
  optimizer.step(model, gradient);
  std::map<std::string, float> result;
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    result[name] = before[static_cast<std::size_t>(p.offset())] - p.values()[0];
  });
  return result;
}

}  // namespace groups_test

using namespace groups_test;

static_assert(matches_pattern("*.bias", "blocks.0.inner.bias"));
static_assert(!matches_pattern("*.bias", "bias"));
static_assert(!matches_pattern("*.bias", "a.bias.b"));
static_assert(matches_pattern("blocks.*.attention.*", "blocks.13.attention.query.weight"));
static_assert(!matches_pattern("blocks.*.attention.*", "blocks.13.mlp.up.weight"));
static_assert(matches_pattern("blocks.?.*", "blocks.3.w") && !matches_pattern("blocks.?.*", "blocks.13.w"));
static_assert(matches_pattern("*", "") && matches_pattern("**a*", "ba") && !matches_pattern("", "a"));
static_assert(matches_pattern("*ab*ab", "abxabab") && !matches_pattern("*ab*abc", "abxabab"));

TEST_CASE("a model without rules has one place for each parameter", "[groups]") {
  const auto model = build<Network>(Key{1});
  const auto layout = parameter_groups(model);
  REQUIRE(layout.size() == 10);
  REQUIRE(layout[0].rows == 3);
  REQUIRE(layout[0].columns == 4);
  REQUIRE(layout[0].is_matrix());
  REQUIRE(!layout[1].is_matrix());
  REQUIRE(layout.back().end() == total);
  for (std::size_t i = 1; i < layout.size(); ++i) REQUIRE(layout[i].begin == layout[i - 1].end());
}

TEST_CASE("the last axis of a parameter gives its columns", "[groups]") {
  const std::array<Index, 3> extents{2, 3, 5};
  REQUIRE(parameter_place(7, extents).rows == 6);
  REQUIRE(parameter_place(7, extents).end() == 37);
  REQUIRE(parameter_place(0, {}).size() == 1);
}

TEST_CASE("groups by name and by layer change rate and decay, and freeze", "[groups]") {
  auto model = build<Network>(Key{1});
  auto groups =
      parameter_groups(model, named("up.*", {.learning_rate_factor = 0.5}),
                       layers<RmsNorm>({.learning_rate_factor = 2}), layers<Linear<4, 2>>({.frozen = true}),
                       named("blocks.1.*", {.frozen = true}), named("blocks.1.norm.gain", {.frozen = false}));
  auto sgd = Sgd{model, {.learning_rate = 1}, groups};
  const auto moved = moves(model, sgd);
  REQUIRE(moved.at("up.weight") == Approx(0.5));
  REQUIRE(moved.at("up.bias") == Approx(0.5));
  REQUIRE(moved.at("blocks.0.norm.gain") == Approx(2));
  REQUIRE(moved.at("blocks.0.inner.weight") == Approx(1));
  REQUIRE(moved.at("blocks.1.norm.gain") == Approx(2));
  REQUIRE(moved.at("blocks.1.inner.weight") == 0);
  REQUIRE(moved.at("down.weight") == 0);
  REQUIRE(moved.at("down.bias") == 0);
}

TEST_CASE("layers are found as a type, as a template, and with all they contain", "[groups]") {
  auto model = build<Network>(Key{1});
  auto sgd =
      Sgd{model, {.learning_rate = 1}, parameter_groups(model, layers<Repeat<Block, 2>>({.frozen = true}))};
  const auto moved = moves(model, sgd);
  REQUIRE(moved.at("blocks.0.norm.gain") == 0);
  REQUIRE(moved.at("blocks.1.inner.bias") == 0);
  REQUIRE(moved.at("up.weight") == Approx(1));
  const auto linear = parameter_groups(model, layers<Linear>({.weight_decay = 0.25}));
  REQUIRE(linear[0].group.weight_decay == 0.25);
  REQUIRE(!linear[2].group.weight_decay);  // the norm's gain
}

TEST_CASE("with decay_matrices_only neither biases nor gains shrink", "[groups]") {
  auto model = build<Network>(Key{1});
  for (float& p : parameters(model).values()) p = 2;
  auto adam = Adam{model, {.learning_rate = 0.5, .weight_decay = 0.25}, decay_matrices_only(model)};
  const auto moved = moves(model, adam, 0);
  REQUIRE(moved.at("up.weight") == Approx(0.25));
  REQUIRE(moved.at("blocks.1.inner.weight") == Approx(0.25));
  REQUIRE(moved.at("up.bias") == 0);
  REQUIRE(moved.at("blocks.0.norm.gain") == 0);
}

TEST_CASE("what is frozen takes no notice of its gradient", "[groups]") {
  auto model = build<Network>(Key{1});
  const auto groups =
      parameter_groups(model, named("*", {.frozen = true}), named("up.bias", {.frozen = false}));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  auto adam = Adam{model, {}, groups};
  REQUIRE(moves(model, adam, nan).at("up.weight") == 0);
  REQUIRE(adam.state().values[0].values[0] == 0);
  auto adafactor = Adafactor{model, {}, groups};
  const auto moved = moves(model, adafactor, nan);
  REQUIRE(moved.at("up.weight") == 0);
  REQUIRE(std::isnan(moved.at("up.bias")));
}

TEST_CASE("rules that say nothing of the model are refused", "[groups]") {
  const auto model = build<Network>(Key{1});
  REQUIRE_THROWS_WITH(parameter_groups(model, named("*.bais", {})),
                      Catch::StartsWith("parameter_groups: no parameter is named '*.bais' ["));
  REQUIRE_THROWS_WITH(
      parameter_groups(model, layers<LayerNorm>({})),
      Catch::StartsWith("parameter_groups: the model has no parameter in a layer of that type"));
  REQUIRE_THROWS_AS(parameter_groups(model, vectors({.weight_decay = -1})), ValueError);
  REQUIRE_THROWS_AS(parameter_groups(model, vectors({.learning_rate_factor = -1})), ValueError);
  const auto other = build<Linear<2, 2>>(Key{1});
  REQUIRE_THROWS_WITH((Sgd{other, {}, parameter_groups(model)}),
                      Catch::StartsWith("optimizer: the groups are those of a model of " +
                                        std::to_string(total) + " parameters, this one has 6"));
}

TEST_CASE("groups do not make bits depend on threads, slices or restarts", "[groups]") {
  ParameterLayout layout;
  for (const auto& [size, group] : {std::pair{Index{1000}, GroupOptions{}},
                                    {Index{3}, GroupOptions{.weight_decay = 0}},
                                    {Index{9000}, GroupOptions{.learning_rate_factor = 0.1}},
                                    {Index{5000}, GroupOptions{.frozen = true}},
                                    {Index{777}, GroupOptions{}}})
    layout.push_back({layout.empty() ? 0 : layout.back().end(), 1, size, group});
  const AdamOptions options{.weight_decay = 0.1, .bf16_update = Bf16Update::stochastic, .key = Key{3}};
  check_bits_do_not_depend_on_threads_slices_or_restarts<bf16, AdamSlice<bf16>>(options, layout);
}
