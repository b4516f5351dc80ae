// What an optimizer remembers, in files: named after the parameters, with the shapes it has for them.
#include <burrow/io/model.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/optim/adafactor.hpp>
#include <catch2/catch.hpp>

#include "tests/io/temporary_directory.hpp"

using namespace burrow;

namespace optimizer_state_test {

struct Model {
  Linear<3, 4> up;
  Linear<4, 2> down;
};

template <class Optimizer>
void follow(Model& model, Optimizer& optimizer, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t step = first; step < last; ++step) {
    Gradient gradient{model};
    std::uint64_t i = 0;
    for (auto& g : gradient.values()) g = Key{7}.fold_in(step).normal(i++);
    optimizer.step(model, gradient);
  }
}

}  // namespace optimizer_state_test

using namespace optimizer_state_test;

TEST_CASE("a run goes on with the same bits from what Adafactor left in a file", "[io]") {
  const TemporaryDirectory directory;
  const AdafactorOptions options{.beta1 = 0.9};
  auto model = build<Model>(Key{1});
  auto optimizer = Adafactor{model, options};
  follow(model, optimizer, 0, 3);
  auto entries = tensor_entries(model, std::span{parameters(model).values()});
  for (const auto& part : optimizer.state().values)
    for (auto& entry : tensor_entries(model, part, "optimizer.")) entries.push_back(std::move(entry));
  write_safetensors(directory / "state", entries);
  follow(model, optimizer, 3, 6);

  const SafetensorsFile file{directory / "state"};
  CHECK(file.at("optimizer.adafactor.row_moment.up.weight").shape == std::vector<std::int64_t>{3});
  CHECK(file.at("optimizer.adafactor.column_moment.up.weight").shape == std::vector<std::int64_t>{4});
  CHECK(file.at("optimizer.adafactor.vector_moment.down.bias").shape == std::vector<std::int64_t>{2});
  CHECK(file.at("optimizer.adafactor.first_moment.down.weight").shape == std::vector<std::int64_t>{4, 2});
  CHECK(file.find("optimizer.adafactor.row_moment.up.bias") == nullptr);
  CHECK(file.find("optimizer.adafactor.vector_moment.up.weight") == nullptr);

  auto other = build<Model>(Key{2});
  load(directory / "state", other);
  auto resumed = Adafactor{other, options};
  for (const auto& part : resumed.state().values) read_tensors(file, other, part, "optimizer.");
  resumed.state().steps = 3;
  follow(other, resumed, 3, 6);
  CHECK(std::ranges::equal(parameters(model).values(), parameters(other).values()));
}

TEST_CASE("another model's optimizer state is refused by the tensor's name", "[io]") {
  const TemporaryDirectory directory;
  const auto wide = build<Linear<3, 5>>(Key{1});
  const auto narrow = build<Linear<3, 4>>(Key{1});
  auto from = Adafactor{wide};
  auto to = Adafactor{narrow};
  std::vector<TensorEntry> entries;
  for (const auto& part : from.state().values)
    for (auto& entry : tensor_entries(wide, part)) entries.push_back(std::move(entry));
  write_safetensors(directory / "state", entries);
  const SafetensorsFile file{directory / "state"};
  const std::string path = (directory / "state").string();
  read_tensors(file, narrow, to.state().values[0]);
  CHECK_THROWS_WITH(
      read_tensors(file, narrow, to.state().values[1]),
      path + ": tensor 'adafactor.column_moment.weight' is of Shape<5> where the optimizer has Shape<4>");
}
