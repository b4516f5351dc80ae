// Models in files: what is saved is loaded bit for bit, and what does not fit is refused by name.
#include <burrow/io/model.hpp>
#include <burrow/nn/layers.hpp>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/fuzz.hpp"
#include "tests/io/temporary_directory.hpp"

namespace {

using burrow::build;
using burrow::IoError;
using burrow::Key;
using burrow::Linear;
using burrow::parameters;
using burrow::SafetensorsFile;
using Catch::Matchers::Contains;

template <burrow::Index Width, class Policy = burrow::Float32<>>
struct TwoLayers {
  Linear<3, Width, Policy> up;
  std::array<Linear<Width, 2, Policy>, 2> down;
};

template <class Model>
bool same_parameters(const Model& a, const Model& b) {
  const auto x = parameters(a).values(), y = parameters(b).values();
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size_bytes()) == 0;
}

}  // namespace

TEMPLATE_TEST_CASE("a saved model is loaded bit for bit", "[io]", burrow::Float32<>, burrow::Bf16<>,
                   burrow::Float64<>) {
  const TemporaryDirectory directory;
  const auto model = build<TwoLayers<4, TestType>>(Key{1});
  auto other = build<TwoLayers<4, TestType>>(Key{2});
  REQUIRE_FALSE(same_parameters(model, other));
  burrow::save(directory / "model", model, {{"made by", "a test"}});
  burrow::load(directory / "model", other);
  CHECK(same_parameters(model, other));

  const SafetensorsFile file{directory / "model"};
  CHECK(file.metadata().at("made by") == "a test");
  CHECK(file.entries().size() == 6);
  CHECK(file.at("up.weight").shape == std::vector<std::int64_t>{3, 4});
  CHECK(file.at("down.1.bias").shape == std::vector<std::int64_t>{2});
}

TEST_CASE("other arrays laid out as the parameters share a file under a prefix", "[io]") {
  const TemporaryDirectory directory;
  const auto model = build<TwoLayers<4>>(Key{3});
  std::vector<double> moments(parameters(model).values().size());
  for (std::size_t i = 0; i < moments.size(); ++i) moments[i] = 0.1 * static_cast<double>(i);
  auto entries = burrow::tensor_entries(model, parameters(model).values());
  for (auto& entry : burrow::tensor_entries(model, std::span{moments}, "moment.")) entries.push_back(entry);
  burrow::write_safetensors(directory / "both", entries);

  const SafetensorsFile file{directory / "both"};
  std::vector<double> read(moments.size());
  burrow::read_tensors(file, model, std::span{read}, "moment.");
  CHECK(read == moments);
  CHECK(file.values<double>("moment.down.0.bias")[0] ==
        moments[static_cast<std::size_t>(model.down[0].bias.offset())]);
}

TEST_CASE("a file that does not fit the model is refused by the tensor's name", "[io]") {
  const TemporaryDirectory directory;
  const auto path = directory / "model";
  auto model = build<TwoLayers<4>>(Key{4});
  burrow::save(path, build<TwoLayers<5>>(Key{5}));
  CHECK_THROWS_WITH(burrow::load(path, model), Contains(path.string() + ": tensor 'up.weight' is of") &&
                                                   Contains("Shape<3, 5>") && Contains("Shape<3, 4>"));
  burrow::save(path, build<TwoLayers<4, burrow::Float64<>>>(Key{5}));
  CHECK_THROWS_AS(burrow::load(path, model), IoError);
  CHECK_THROWS_WITH(burrow::load(path, model), Contains("'up.weight'"));
  burrow::save(path, model.up);
  CHECK_THROWS_WITH(burrow::load(path, model), Contains("has no tensor 'up.weight'"));
  CHECK_THROWS_AS(burrow::load(directory / "nothing", model), IoError);
}

TEST_CASE("a model file cut short anywhere is refused", "[io]") {
  const TemporaryDirectory directory;
  const auto path = directory / "model";
  auto model = build<TwoLayers<4>>(Key{6});
  burrow::save(path, model);
  for (auto length = std::filesystem::file_size(path); length-- > 0;) {
    std::filesystem::resize_file(path, length);
    REQUIRE_THROWS_AS(burrow::load(path, model), IoError);
  }
}
