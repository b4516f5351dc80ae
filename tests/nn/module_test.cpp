// Modules: names and order of parameters, building, and gradients with respect to a model.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>
#include <cstring>
#include <map>

#include "tests/threads.hpp"

namespace {

using namespace burrow;
using Catch::Matchers::Contains;

struct Small {
  Linear<3, 4> up;
  std::array<Projection<4, 4>, 2> middle;
  RmsNorm<4> norm;
  Parameter<float, Shape<2>> unused{init::uniform(0.5f)};
};

/// The same parameters as Small in another order.
struct Reordered {
  Parameter<float, Shape<2>> unused{init::uniform(0.5f)};
  RmsNorm<4> norm;
  std::array<Projection<4, 4>, 2> middle;
  Linear<3, 4> up;
};

static_assert(parameter_count<Small> == 3 * 4 + 4 + 2 * 16 + 4 + 2);
static_assert(parameter_count<Linear<7, 5>> == 40 && parameter_count<Mlp<3, 8>> == 3 * 8 + 8 + 8 * 3 + 3);
static_assert(Module<Small> && Module<Linear<2, 2>> && !Module<float>);
static_assert(!std::is_copy_constructible_v<Small> && std::is_nothrow_move_constructible_v<Small>);
static_assert(!std::is_copy_assignable_v<Linear<2, 2>>);

template <class Model>
std::vector<std::string> names_of(const Model& model) {
  std::vector<std::string> names;
  for_each_parameter(model, [&](const std::string& name, const auto&) { names.push_back(name); });
  return names;
}

template <class Model>
std::map<std::string, std::vector<float>> values_by_name(const Model& model) {
  std::map<std::string, std::vector<float>> values;
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    values[name] = {p.values().begin(), p.values().end()};
  });
  return values;
}

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(*a.data())) == 0;
}

template <class M>
auto loss_of(const M& model, const auto& x) {
  return sum(square(model.norm(model.middle[1](model.middle[0](model.up(x))) + 1.0f) - 0.5f));
}

}  // namespace

TEST_CASE("parameters are found in the order of declaration and named after members", "[nn]") {
  const std::vector<std::string> expected{"up.weight",       "up.bias",   "middle.0.weight",
                                          "middle.1.weight", "norm.gain", "unused"};
  CHECK(names_of(Small{}) == expected);
  CHECK(names_of(build<Small>(Key{1})) == expected);
}

TEST_CASE("a built model lies in one flat storage, parameter after parameter", "[nn]") {
  const auto model = build<Small>(Key{1});
  const auto flat = parameters(model).values();
  CHECK(static_cast<Index>(flat.size()) == parameter_count<Small>);
  CHECK(count_parameters(model) == parameter_count<Small>);
  Index offset = 0;
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    CAPTURE(name);
    CHECK(p.offset() == offset);
    CHECK(p.data() == flat.data() + offset);
    offset += p.size();
  });
}

TEST_CASE("first values follow from the key and the name alone", "[nn]") {
  const auto values = values_by_name(build<Small>(Key{3}));
  CHECK(values == values_by_name(build<Small>(Key{3})));
  CHECK(values == values_by_name(build<Reordered>(Key{3})));
  CHECK(values.at("middle.0.weight") != values.at("middle.1.weight"));
  CHECK(values.at("up.weight") != values_by_name(build<Small>(Key{4})).at("up.weight"));
}

TEST_CASE("first values do not depend on the number of threads", "[nn]") {
  const Threads scope{1};
  const auto one = build(Linear<dyn, dyn>::sized(150, 301), Key{5});
  set_threads(5);
  const auto five = build(Linear<dyn, dyn>::sized(150, 301), Key{5});
  CHECK(same_bits(parameters(one).values(), parameters(five).values()));
}

TEST_CASE("first values follow the rules of the layers", "[nn]") {
  const auto linear = build(Linear<dyn, dyn>::sized(400, 300), Key{6});
  double mean = 0, square = 0;
  for (const double w : linear.weight.values()) mean += w / 120000, square += w * w / 120000;
  CHECK(std::abs(mean) < 1e-3);
  CHECK(std::sqrt(square) == Approx(1 / std::sqrt(400.0)).epsilon(0.01));
  for (const float b : linear.bias.values()) CHECK(b == 0.0f);
  const auto model = build<Small>(Key{6});
  for (const float g : model.norm.gain.values()) CHECK(g == 1.0f);
  for (const float u : model.unused.values()) CHECK((u >= -0.5f && u < 0.5f));
}

TEST_CASE("static and run-time extents give the same bits", "[nn]") {
  const auto fixed = build<Mlp<3, 5>>(Key{7});
  const auto sized = build(Mlp<dyn, dyn>::sized(3, 5), Key{7});
  REQUIRE(same_bits(parameters(fixed).values(), parameters(sized).values()));
  const auto x = normal<Shape<4, 3>>(Key{8});
  const Tensor<float, Shape<dyn, dyn>> y{Shape<dyn, dyn>{{4, 3}}, x.values()};
  const auto a = materialize(fixed(x));
  const auto b = materialize(sized(y));
  CHECK(same_bits(a.values(), b.values()));
  const auto of_fixed = value_and_grad(fixed, [&](Tape& t) { return sum(square(fixed(t.watch(x)))); });
  const auto of_sized = value_and_grad(sized, [&](Tape& t) { return sum(square(sized(t.watch(y)))); });
  CHECK(of_fixed.first == of_sized.first);
  CHECK(same_bits(of_fixed.second.values(), of_sized.second.values()));
}

TEST_CASE("a gradient agrees with differences, an unused parameter's is zero", "[nn]") {
  auto model = build<Small>(Key{9});
  const auto x = normal<Shape<6, 3>>(Key{10});
  const auto gradient = value_and_grad(model, [&](Tape& t) { return loss_of(model, t.watch(x)); }).second;
  for (const float g : gradient.of(model.unused)) CHECK(g == 0.0f);
  const auto values = parameters(model).values();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float center = values[i], step = 5e-3f;
    const auto loss_at = [&](float value) {
      values[i] = value;
      return static_cast<double>(loss_of(model, x).item());
    };
    const double difference =
        (loss_at(center + step) - loss_at(center - step)) / (2.0 * static_cast<double>(step));
    values[i] = center;
    CAPTURE(i);
    CHECK(static_cast<double>(gradient.values()[i]) == Approx(difference).margin(5e-2).epsilon(2e-2));
  }
}

TEST_CASE("gradients add up over calls", "[nn]") {
  const auto model = build<Small>(Key{11});
  const auto x = normal<Shape<6, 3>>(Key{12});
  const auto f = [&](Tape& t) { return loss_of(model, t.watch(x)); };
  const auto once = value_and_grad(model, f).second;
  Gradient<Small> twice{model};
  accumulate_gradient(model, twice, f);
  accumulate_gradient(model, twice, f);
  for (std::size_t i = 0; i < once.values().size(); ++i)
    CHECK(twice.values()[i] == Approx(2 * once.values()[i]).margin(1e-5));
  twice.clear();
  for (const float g : twice.values()) CHECK(g == 0.0f);
}

TEST_CASE("a parameter without a trace beside it is an error while gradients are recorded", "[nn]") {
  const auto model = build<Small>(Key{13});
  const auto x = normal<Shape<2, 3>>(Key{14});
  const auto untraced = [&](Tape& t) {
    const Tensor hidden = model.up(x);
    return sum(model.middle[0](t.watch(hidden)));
  };
  CHECK_THROWS_AS(value_and_grad(model, untraced), Error);
  CHECK_THROWS_WITH(value_and_grad(model, untraced), Contains("meets no traced operand") &&
                                                         Contains("its gradient would be lost") &&
                                                         Contains("stop_gradient"));
  // Gradients are not recorded any more: the model may be used freely.
  CHECK_NOTHROW(Tensor(model.up(x)));
  const auto stopped = value_and_grad(model, [&](Tape& t) {
    return sum(t.watch(normal<Shape<2, 4>>(Key{14})) * stop_gradient(model.up.bias));
  });
  for (const float g : stopped.second.values()) CHECK(g == 0.0f);
}

TEST_CASE("inputs may be constant: they are traced but get no gradient", "[nn]") {
  Tape tape{Tape::Inputs::constant};
  const auto x = tape.watch(normal<Shape<3>>(Key{15}));
  CHECK_FALSE(x.wanted());
  const auto y = materialize(sum(x * x));
  CHECK(tape.size() == 0);
  tape.backward(y);
  CHECK_THROWS_WITH(tape.gradient(x), Contains("not differentiated on this tape"));
}

TEST_CASE("a model moves without its elements moving", "[nn]") {
  auto model = build<Small>(Key{16});
  const float* const data = model.up.weight.data();
  const Small moved = std::move(model);
  CHECK(moved.up.weight.data() == data);
  CHECK(parameters(moved).values().data() == data);
}

TEST_CASE("parameters that were not built are an error that names them", "[nn]") {
  const Small model;
  CHECK_THROWS_WITH(parameters(model),
                    Contains("'up.weight' has no elements yet") && Contains("build<Model>"));
  CHECK_THROWS_WITH(model.up.bias.data(), Contains("Shape<4> has no elements yet"));
}

TEST_CASE("gradients of bf16 parameters add up in fp32", "[nn]") {
  struct Scale {
    Parameter<bf16, Shape<2>> factor{init::ones};
  };
  const auto model = build<Scale>(Key{17});
  Gradient<Scale> gradient{model};
  STATIC_REQUIRE(std::same_as<decltype(gradient)::element, float>);
  for (int i = 0; i <= 100; ++i) {
    const auto x = full<Shape<2>, bf16>(i == 0 ? bf16(256.0f) : bf16(1.0f));
    accumulate_gradient(model, gradient, [&](Tape& t) { return sum(t.watch(x) * model.factor); });
  }
  for (const float g : gradient.values()) CHECK(g == 356.0f);  // bf16 has no number between 256 and 258
}

TEST_CASE("a record that is kept has the gradients of bf16 parameters again", "[nn]") {
  struct Scale {
    Parameter<bf16, Shape<2>> factor{init::ones};
  };
  const auto model = build<Scale>(Key{17});
  Gradient<Scale> gradient{model};
  Tape tape{Tape::Inputs::constant};
  tape.differentiate(parameters(model).store(), gradient.values().data());
  const auto y = materialize(tape.watch(full<Shape<2>, bf16>(bf16(3.0f))) * model.factor);
  const auto loss = sum(y);
  for (const float times : {1.0f, 2.0f, 3.0f}) {
    tape.backward(loss, keep_record);
    for (const float g : gradient.values()) CHECK(g == 3.0f * times);
  }
}
