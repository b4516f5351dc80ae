// Checkpoints: what is written is read back bit for bit, what is not one is refused in one sentence, and the
// model in one scores the held-out text as the run said.
#include "gopher_model/training/checkpoint.hpp"

#include <map>
#include <numbers>

#include <burrow/nn/layers.hpp>
#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>

#include "gopher_model/data/documents.hpp"
#include "gopher_model/data/split.hpp"
#include "gopher_model/data/token_dataset.hpp"
#include "gopher_model/model/gopher.hpp"
#include "gopher_model/training/corpus.hpp"
#include "tests/training/tiny_run.hpp"
#include "tests/training/write_checkpoint.hpp"

namespace gopher::checkpoint_test {
namespace {

using burrow::SafetensorsFile;
using Catch::Contains;
using Metadata = std::map<std::string, std::string>;
using Small = Linear<3, 2, Bf16<Cpu>>;

constexpr ModelSize size{2, 16, 2, 8, 32, 320, 16};
const TrainingState state{
    .step = 7, .tokens = 448, .sample = 28, .total_steps = 9, .skipped = 1, .elapsed = 1.5};
const RunIdentity identity{.seed = 3, .tokenizer = ~std::uint64_t{0}, .text = 11};

std::string refusal(const std::filesystem::path& path, const Metadata& metadata) {
  const std::vector<float> values(2);
  burrow::write_safetensors(path, std::array{burrow::tensor_entry<float>("x", {2}, values)}, metadata);
  try {
    describe_checkpoint(SafetensorsFile{path});
  } catch (const burrow::Error& error) {
    return error.what();
  }
  return "";
}

const burrow::SelfCommunicator alone;

auto adam_for(const Small& model) {
  return burrow::Sharded{Adam{model, {.bf16_update = burrow::Bf16Update::fp32_copy}}, alone};
}

TEST_CASE("a checkpoint gives the model, the optimizer and the state back, bit for bit") {
  const Workplace place;
  auto model = build<Small>(Key{1});
  auto optimizer = adam_for(model);
  Gradient gradient{model};
  for (std::size_t i = 0; i < gradient.values().size(); ++i) gradient.values()[i] = Key{2}.normal(i);
  for (int i = 0; i < 6; ++i) optimizer.step(model, gradient);
  const std::string tokenizer("any\0bytes", 9);
  write_checkpoint(place / "c", model, optimizer, tokenizer,
                   checkpoint_metadata(size, Precision::bf16_master, state, identity), alone);

  const SafetensorsFile file{place / "c"};
  const auto description = describe_checkpoint(file);
  CHECK(description.size == size);
  CHECK(description.precision == Precision::bf16_master);
  CHECK(description.state.step == 7);
  CHECK(description.state.tokens == 448);
  CHECK(description.state.sample == 28);
  CHECK(description.state.total_steps == 9);
  CHECK(description.state.skipped == 1);
  CHECK(description.state.elapsed == 1.5);
  CHECK(description.identity.seed == 3);
  CHECK(description.identity.tokenizer == ~std::uint64_t{0});
  CHECK(description.identity.text == 11);
  const auto bytes = file.values<std::uint8_t>(tokenizer_tensor);
  CHECK(std::equal(bytes.begin(), bytes.end(), tokenizer.begin(), tokenizer.end()));

  auto other = build<Small>(Key{3});
  auto fresh = adam_for(other);
  read_checkpoint(open_checkpoint(place / "c"), other, fresh);
  CHECK(fresh.state().steps == 6);
  write_checkpoint(place / "d", other, fresh, tokenizer, {}, alone);
  CHECK(same_tensors(place / "c", place / "d"));
  optimizer.step(model, gradient);
  fresh.step(other, gradient);
  CHECK(std::memcmp(parameters(model).values().data(), parameters(other).values().data(), 16) == 0);
}

TEST_CASE("metadata that are not those of a checkpoint are refused by name") {
  const Workplace place;
  const std::string path = place / "c";
  const auto good = checkpoint_metadata(size, Precision::float32, state, identity);
  CHECK(refusal(path, good).empty());
  CHECK_THAT(refusal(path, {}), Contains(path + ": not a Gopher checkpoint"));
  for (const auto& [key, value] : good) {
    CAPTURE(key);
    auto missing = good;
    missing.erase(key);
    CHECK_THAT(refusal(path, missing), Contains(path + ":") && Contains("'" + key + "'"));
    for (const char* wrong : {"", "x", "-1", "7 ", "nan", "inf", "1e999"}) {
      CAPTURE(wrong);
      auto changed = good;
      changed[key] = wrong;
      CHECK_FALSE(refusal(path, changed).empty());
    }
  }
  auto later = good;
  later["format"] = "gopher-2";
  CHECK_THAT(refusal(path, later), Contains("a checkpoint of format 'gopher-2', not 'gopher-1'"));
  auto odd = good;
  odd["width"] = "15";
  CHECK_THAT(refusal(path, odd), Contains("width must be even"));
}

TEST_CASE("a checkpoint of another model is refused by the tensor's name") {
  const Workplace place;
  const auto wide = build<Linear<3, 4, Bf16<Cpu>>>(Key{4});
  const auto metadata = checkpoint_metadata(size, Precision::bf16_master, state, identity);
  burrow::save(place / "wide", wide, metadata);
  auto model = build<Small>(Key{5});
  auto optimizer = adam_for(model);
  const auto read = [&](const std::string& name) {
    read_checkpoint(open_checkpoint(place / name), model, optimizer);
  };
  CHECK_THROWS_WITH(read("wide"),
                    Contains("tensor 'weight' is of") && Contains("where the model has Shape<3, 2>"));
  burrow::save(place / "bare", model, metadata);
  CHECK_THROWS_WITH(read("bare"), Contains(place / "bare") && Contains("has no tensor 'optimizer."));
}

TEST_CASE("the evaluation at a run's end counts every held-out token once") {
  const Workplace place;
  const auto c = place.configuration("run");
  train_watched(c);
  const auto evaluation = records(c, "evaluation").back();

  const RunFiles files{c.run};
  const SafetensorsFile file{files.newest_checkpoint()->path};
  auto model = build(RunTimeGopher<Float32<Cpu>>::make(describe_checkpoint(file).size), Key{});
  burrow::read_tensors(file, model, parameters(model).values());
  const auto tokenizer = Tokenizer::load(files.tokenizer().string());
  const auto split = split_documents(read_documents(c.data.front()), key_for(c.seed, Purpose::split));

  // The tokens one by one: each is predicted from those before it in its window of 16.
  std::vector<std::int32_t> text;
  std::uint64_t bytes = 0;
  for (const Document& document : split.held_out) {
    tokenizer.encode(document.text, text);
    text.push_back(tokenizer.eos());
    bytes += document.text.size();
  }
  double loss = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::vector<std::int32_t> before;
    for (std::size_t j = i / 16 * 16; j <= i; ++j) before.push_back(j == 0 ? tokenizer.eos() : text[j - 1]);
    const auto length = static_cast<Index>(before.size());
    const Tensor logits = model(Tensor<std::int32_t, Shape<dyn, dyn>>{Shape<dyn, dyn>{{1, length}}, before});
    double total = 0;
    for (Index v = 0; v < logits.shape()[-1]; ++v)
      total += std::exp(static_cast<double>(logits(0, length - 1, v)));
    loss += std::log(total) - static_cast<double>(logits(0, length - 1, text[i]));
  }
  REQUIRE(text.size() > 16);
  CHECK(evaluation.at("step") == 8);
  CHECK(evaluation.at("loss").get<double>() == Approx(loss / static_cast<double>(text.size())).epsilon(1e-5));
  CHECK(evaluation.at("bits_per_byte").get<double>() ==
        Approx(loss / std::numbers::ln2 / static_cast<double>(bytes)).epsilon(1e-5));
  CHECK(evaluation.at("baseline_bits_per_byte") > 0);
}

}  // namespace
}  // namespace gopher::checkpoint_test
