// Lesson 11: GPT-2 on characters. LayerNorm, learned positions, causal attention; it reads a verse until it
// knows it by heart, then writes it down.
#include <iostream>
#include <string>
#include <vector>

#include <burrow/burrow.hpp>

using namespace burrow;

/// [batch, time, Width] to the same.
template <Index Width, Index Heads>
struct Block {
  LayerNorm<Width> attention_norm, mlp_norm;
  CausalSelfAttention<Width, Heads> attention;
  Mlp<Width, 4 * Width> mlp;

  auto operator()(const auto& x) const {
    const auto h = materialize(x + attention(attention_norm(x)));
    return h + mlp(mlp_norm(h));
  }
};

/// Characters [batch, time] to scores of the next one [batch, time, 128].
struct Gpt2 {
  Embedding<128, 48> embedding;
  PositionEmbedding<120, 48> positions;
  Repeat<Block<48, 4>, 2> blocks;
  LayerNorm<48> norm;

  auto operator()(const auto& ids) const {
    return embedding.scores(norm(blocks(positions(embedding(ids)))));  // the output uses the input's table
  }
};

using Ids = Tensor<std::int32_t, Shape<1, dyn>>;
Ids encoded(const std::string& text) {
  return {Shape<1, dyn>{{1, std::ssize(text)}}, std::vector<std::int32_t>(text.begin(), text.end())};
}

int main() {
  const std::string verse =
      "Twinkle, twinkle, little star,\nHow I wonder what you are!\n"
      "Up above the world so high,\nLike a diamond in the sky.\n";
  const Ids inputs = encoded(verse.substr(0, verse.size() - 1)), targets = encoded(verse.substr(1));

  auto model = build<Gpt2>(Key{0});
  auto optimizer = Adam{model, {.learning_rate = 3e-3}};
  float loss = 0;
  for (int step = 0; step < 150; ++step) {
    const auto [now, gradient] = value_and_grad(
        model, [&](Tape& tape) { return cross_entropy(model(tape.watch(inputs)), targets).mean(); });
    optimizer.step(model, gradient, {.gradient_factor = clip_factor(global_norm(gradient.values()), 1.0)});
    loss = now;
  }
  std::cout << std::boolalpha << "loss below 0.05: " << (loss < 0.05f) << '\n';

  // Without a tape the same call is inference. The likeliest character follows, again and again.
  std::string written = "Tw";
  while (written.size() < verse.size())
    written += static_cast<char>(argmax(at<1>(model(encoded(written)), -1)).item());
  std::cout << written;
}

// Output:
// loss below 0.05: true
// Twinkle, twinkle, little star,
// How I wonder what you are!
// Up above the world so high,
// Like a diamond in the sky.
