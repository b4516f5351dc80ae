// Lesson 13: a switch transformer. In each block a router sends every character to one of four experts, so
// the model has many parameters and uses a few; a second loss keeps the experts equally busy.
#include <iostream>
#include <string>
#include <vector>

#include <burrow/burrow.hpp>

using namespace burrow;

/// [batch, time, Width] to the same, and the loss that balances the load: 1 where it is even.
template <Index Width, Index Heads, Index Experts>
struct Block {
  using Expert = Mlp<Width, 2 * Width>;  // any module [n, Width] to [n, Width]

  RmsNorm<Width> attention_norm, mixture_norm;
  AlibiAttention<Width, Heads> attention;
  SwitchMixture<Expert, Width, Experts> mixture;

  auto operator()(const auto& x) const {
    const auto h = materialize(x + attention(attention_norm(x)));
    const auto [output, balance_loss] = mixture(mixture_norm(h));
    return std::pair{materialize(h + output), balance_loss};
  }
};

/// Characters [batch, time] to scores of the next one [batch, time, 128], and the blocks' mean balance loss.
struct SwitchTransformer {
  Embedding<128, 32> embedding;
  Block<32, 4, 4> first, second;
  RmsNorm<32> norm;

  auto operator()(const auto& ids) const {
    const auto [h, first_loss] = first(embedding(ids));
    const auto [last, second_loss] = second(h);
    return std::pair{embedding.scores(norm(last)), (first_loss + second_loss) / 2};
  }
};

using Ids = Tensor<std::int32_t, Shape<1, dyn>>;
Ids encoded(const std::string& text) {
  return {Shape<1, dyn>{{1, std::ssize(text)}}, std::vector<std::int32_t>(text.begin(), text.end())};
}

int main() {
  const std::string text =
      "one for the money, two for the show, three to get ready, and four to go. "
      "a sailor went to sea, sea, sea, to see what he could see, see, see.";
  const Ids inputs = encoded(text.substr(0, text.size() - 1)), targets = encoded(text.substr(1));

  auto model = build<SwitchTransformer>(Key{0});
  auto optimizer = Adam{model, {.learning_rate = 5e-3}};
  for (int step = 0; step < 200; ++step) {
    const auto [loss, gradient] = value_and_grad(model, [&](Tape& tape) {
      const auto [scores, balance_loss] = model(tape.watch(inputs));
      return cross_entropy(scores, targets).mean() + 0.01f * balance_loss;
    });
    optimizer.step(model, gradient, {.gradient_factor = clip_factor(global_norm(gradient.values()), 1.0)});
  }

  const auto [scores, balance_loss] = model(inputs);
  std::cout << std::boolalpha << "knows the next character in 95 % of places: "
            << (mean(cast<float>(argmax<2>(scores) == targets)) > 0.95f)
            << "\nexperts nearly equally busy: " << (balance_loss < 1.2f) << '\n';

  // One expert of four is used for a character: that is less than half of the parameters.
  constexpr Index unused = 2 * 3 * parameter_count<Mlp<32, 64>>;
  std::cout << parameter_count<SwitchTransformer> << " parameters, "
            << parameter_count<SwitchTransformer> - unused << " for a character\n";
}

// Output:
// knows the next character in 95 % of places: true
// experts nearly equally busy: true
// 46240 parameters, 21088 for a character
