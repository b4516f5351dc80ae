// Lesson 12: a Llama-style model. RMSNorm, rotary positions, heads that share keys and values, a gated MLP;
// and decoding that looks at each character once, because a cache keeps the keys and values of the others.
#include <iostream>
#include <string>
#include <vector>

#include <burrow/burrow.hpp>

using namespace burrow;

/// [batch, time, Width] to the same. With a cache x are the next characters of one sequence only.
template <Index Width, Index Heads, Index KeyValueHeads, Index Hidden>
struct Block {
  RmsNorm<Width> attention_norm, mlp_norm;
  GroupedQueryAttention<Width, Heads, KeyValueHeads, RotaryEmbedding> attention;
  SwiGlu<Width, Hidden> mlp;

  auto operator()(const auto& x, auto&... past) const {
    const auto h = materialize(x + attention(attention_norm(x), past...));
    return h + mlp(mlp_norm(h));
  }
  auto cache(Index length) const { return attention.cache(length); }
};

/// Characters [batch, time] to scores of the next one [batch, time, 128].
struct Llama {
  Embedding<128, 48> embedding;
  Repeat<Block<48, 4, 2, 128>, 2> blocks;
  RmsNorm<48> norm;
  Projection<48, 128> output;

  auto operator()(const auto& ids, auto&... caches) const {
    return output(norm(blocks(embedding(ids), caches...)));
  }
};

using Ids = Tensor<std::int32_t, Shape<1, dyn>>;
Ids encoded(const std::string& text) {
  return {Shape<1, dyn>{{1, std::ssize(text)}}, std::vector<std::int32_t>(text.begin(), text.end())};
}

int main() {
  const std::string text = "the quick brown fox jumps over the lazy dog. the dog sleeps; the fox does not.";
  const Ids inputs = encoded(text.substr(0, text.size() - 1)), targets = encoded(text.substr(1));

  auto model = build<Llama>(Key{0});
  auto optimizer = Adam{model, {.learning_rate = 3e-3}};
  for (int step = 0; step < 150; ++step) {
    const auto [loss, gradient] = value_and_grad(
        model, [&](Tape& tape) { return cross_entropy(model(tape.watch(inputs)), targets).mean(); });
    optimizer.step(model, gradient, {.gradient_factor = clip_factor(global_norm(gradient.values()), 1.0)});
  }

  // One cache to a block. The prompt goes in at once, then one character at a time.
  auto caches = model.blocks.caches(inputs.size());
  std::string written = "the q", next = written;
  float largest = 0;
  while (written.size() < text.size()) {
    const Tensor scores = at<1>(model(encoded(next), caches), -1);
    const Tensor all_scores = at<1>(model(encoded(written)), -1);  // without the cache, from all characters
    largest = std::max(largest, max(abs(scores - all_scores)).item());
    next = static_cast<char>(argmax(scores).item());
    written += next;
  }
  std::cout << written << '\n';
  std::cout << std::boolalpha << "with the cache as without: " << (largest < 1e-3f) << '\n';
}

// Output:
// the quick brown fox jumps over the lazy dog. the dog sleeps; the fox does not.
// with the cache as without: true
