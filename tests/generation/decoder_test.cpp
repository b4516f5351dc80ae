// Decoding: the same tokens as the whole forward pass gives, the same text for the same key.
#include "gopher_model/generation/decoder.hpp"

#include <catch2/catch.hpp>

namespace gopher::decoder_test {
namespace {

using Model = RunTimeGopher<Float32<Cpu>>;
using Ids = std::vector<std::int32_t>;

const Tokenizer& tokenizer() {
  static const Tokenizer trained = [] {
    std::string text;
    for (int i = 0; i < 400; ++i) text += i % 3 == 0 ? "a gopher digs a burrow. " : "the burrow is long. ";
    return Tokenizer::train(text, {.vocabulary = 320});
  }();
  return trained;
}

/// A model whose logits are far apart and that never draws the end token.
Model random_model() {
  Model model = build(Model::make({2, 12, 2, 6, 24, tokenizer().vocabulary(), 32}), Key{1});
  for (float& value : parameters(model).values()) value *= 8;
  model.output.bias.values()[static_cast<std::size_t>(tokenizer().eos())] = -1e9f;
  return model;
}

Ids likeliest_tokens(const Model& model, std::string_view prompt, int count) {
  Ids tokens{tokenizer().eos()}, drawn;
  tokenizer().encode(prompt, tokens);
  for (int i = 0; i < count; ++i) {
    const auto length = static_cast<Index>(tokens.size());
    const Tensor logits = model(Tensor<std::int32_t, Shape<dyn, dyn>>{Shape<dyn, dyn>{{1, length}}, tokens});
    const auto row = std::as_const(logits).values().last(static_cast<std::size_t>(tokenizer().vocabulary()));
    drawn.push_back(static_cast<std::int32_t>(std::ranges::max_element(row) - row.begin()));
    tokens.push_back(drawn.back());
  }
  return drawn;
}

std::string continued(const Model& model, std::string_view prompt, Index count,
                      const SamplingOptions& options, std::uint64_t seed) {
  std::string text;
  continue_text(model, tokenizer(), prompt, count, options, Key{seed},
                [&](std::string_view piece) { text += piece; });
  return text;
}

TEST_CASE("greedy decoding draws the likeliest token of the whole forward pass") {
  const Model model = random_model();
  for (const std::string prompt : {"", "the gopher", "a burrow is a long, long text. \xff\n"}) {
    CAPTURE(prompt);
    CHECK(continued(model, prompt, 12, {.greedy = true}, 0) ==
          tokenizer().decode(likeliest_tokens(model, prompt, 12)));
  }
}

TEST_CASE("one key gives one text, a longer one goes on from it") {
  const Model model = random_model();
  const std::string text = continued(model, "the ", 20, {}, 3);
  CHECK(continued(model, "the ", 20, {}, 3) == text);
  CHECK(continued(model, "the ", 20, {}, 4) != text);
  CHECK(continued(model, "the ", 30, {}, 3).starts_with(text));
}

TEST_CASE("decoding stops at the end token and after the asked number") {
  Model model = random_model();
  const auto count = [&](Index asked) {
    Index pieces = 0;
    const Continuation all = continue_text(model, tokenizer(), "a", asked, {.greedy = true}, Key{},
                                           [&](std::string_view) { ++pieces; });
    CHECK(pieces == all.tokens);
    return all.tokens;
  };
  CHECK(count(5) == 5);
  CHECK(count(0) == 0);
  model.output.bias.values()[static_cast<std::size_t>(tokenizer().eos())] = 1e9f;
  CHECK(count(5) == 0);
}

}  // namespace
}  // namespace gopher::decoder_test
