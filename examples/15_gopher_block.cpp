// Lesson 15: the Gopher block (arXiv 2112.11446) from burrow's layers, in a small language model that learns
// one sentence by heart. Device and precision are a type.
#include <iostream>
#include <string>
#include <vector>

#include <burrow/burrow.hpp>

using namespace burrow;

/// GPT-2's block with RMSNorm in place of LayerNorm and Transformer-XL's relative positions in place of
/// absolute ones: [batch, time, Width] to [batch, time, Width].
template <Index Width, Index Heads, class Policy>
struct GopherBlock {
  RmsNorm<Width, Policy> attention_norm, mlp_norm;
  RelativeAttention<Width, Heads, Width / Heads, Policy> attention;
  Mlp<Width, 4 * Width, Policy> mlp;

  auto operator()(const auto& x) const {
    const auto [h, normed] = mlp_norm.add(x, attention(attention_norm(x)));
    return h + mlp(normed);
  }
};

/// Characters [batch, time] to scores of the next one [batch, time, 128]. Input and output embeddings are
/// tied.
template <class Policy>
struct LanguageModel {
  Embedding<128, 32, Policy> embedding;
  Repeat<GopherBlock<32, 4, Policy>, 2> blocks;
  RmsNorm<32, Policy> final_norm;

  auto operator()(const auto& ids) const { return embedding.scores(final_norm(blocks(embedding(ids)))); }
};

// MixedBf16<Cpu> keeps these parameters and computes in bf16; the model does not change.
using Model = LanguageModel<Float32<Cpu>>;

using Ids = Tensor<std::int32_t, Shape<1, dyn>>;
Ids encoded(const std::string& text) {
  return {Shape<1, dyn>{{1, std::ssize(text)}}, std::vector<std::int32_t>(text.begin(), text.end())};
}

int main() {
  const std::string text = "a gopher digs a burrow, and a burrow holds a gopher.";
  const Ids inputs = encoded(text.substr(0, text.size() - 1)), targets = encoded(text.substr(1));

  auto model = build<Model>(Key{3});
  auto optimizer = Adam{model, {.learning_rate = 3e-3, .beta2 = 0.95}};
  for (int step = 0; step < 150; ++step) {
    const auto [loss, gradient] = value_and_grad(
        model, [&](Tape& tape) { return cross_entropy(model(tape.watch(inputs)), targets).mean(); });
    optimizer.step(model, gradient, {.gradient_factor = clip_factor(global_norm(gradient.values()), 1.0)});
  }

  // The same call without a tape: take the likeliest character, again and again.
  std::string written = "a gopher d";
  while (written.size() < text.size())
    written += static_cast<char>(argmax(at<1>(model(encoded(written)), -1)).item());
  std::cout << parameter_count<Model> << " parameters\n" << written << '\n';
}

// Output:
// 31392 parameters
// a gopher digs a burrow, and a burrow holds a gopher.
