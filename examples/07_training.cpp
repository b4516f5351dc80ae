// Lesson 7: training. A loss and its gradient, an optimizer step, and a file that Python can read.
#include <filesystem>
#include <iostream>
#include <vector>

#include <burrow/burrow.hpp>
#include <burrow/io/model.hpp>

using namespace burrow;

template <Index Width, Index Hidden>
struct GatedMlp {
  Linear<Width, Hidden> gate, up;
  Linear<Hidden, Width> down;
  auto operator()(const auto& x) const { return down(silu(gate(x)) * up(x)); }
};

using Points = Tensor<float, Shape<64, 2>>;

/// What is to be learned: (a, b) to (a b, a - b).
Points target(const Points& x) {
  Points y;
  for (Index i = 0; i < 64; ++i) {
    y(i, 0) = x(i, 0) * x(i, 1);
    y(i, 1) = x(i, 0) - x(i, 1);
  }
  return y;
}

int main() {
  auto model = build<GatedMlp<2, 32>>(Key{0});
  auto optimizer = Adam{model, {.learning_rate = 1e-2}};
  const auto schedule = warmup_cosine({.peak = 1e-2, .total_steps = 600, .warmup_steps = 20});

  float first = 0, last = 0;
  for (Index step = 0; step < 600; ++step) {
    const Points x = normal<Shape<64, 2>>(Key{1}.fold_in(static_cast<std::uint64_t>(step)));
    const Points y = target(x);

    // Watching the input traces all that is computed from it; the gradient is that of the parameters.
    const auto [loss, gradient] =
        value_and_grad(model, [&](Tape& tape) { return mean(square(model(tape.watch(x)) - y)); });
    const double clip = clip_factor(global_norm(gradient.values()), 1.0);
    optimizer.step(model, gradient, {.learning_rate = schedule(step), .gradient_factor = clip});

    if (step == 0) first = loss;
    last = loss;
  }
  std::cout << std::boolalpha << "first loss above 1: " << (first > 1) << '\n'
            << "last loss below 0.01: " << (last < 0.01f) << '\n';

  // One tensor to a parameter, named after the members of the struct.
  const auto path = std::filesystem::temp_directory_path() / "burrow_07_training.safetensors";
  save(path, model);
  const SafetensorsFile file{path};
  for (const auto& entry : file.entries()) std::cout << entry.name << '\n';

  // Another model reads it back. Without a tape, the same call operator is plain inference.
  auto loaded = build<GatedMlp<2, 32>>(Key{99});
  load(path, loaded);
  std::filesystem::remove(path);
  const Points x = normal<Shape<64, 2>>(Key{2});
  std::cout << "largest difference " << max(abs(loaded(x) - model(x))) << '\n';
}

// Output:
// first loss above 1: true
// last loss below 0.01: true
// down.bias
// down.weight
// gate.bias
// gate.weight
// up.bias
// up.weight
// largest difference 0
