// Lesson 4: a new activation is one lambda. It fuses with its neighbours, and the compiler finds its
// derivative.
#include <iostream>

#include <burrow/burrow.hpp>

using namespace burrow;

/// (x + sqrt(x^2 + 4)) / 2: a smooth relu without an exponential (Barron 2021).
inline constexpr auto squareplus = elementwise([](auto x) {
  using P = decltype(x);  // several numbers at once
  return P(0.5f) * (x + sqrt(x * x + P(4)));
});

/// x where it is positive, slope * x elsewhere. The slope is an operand like x: a tensor, broadcast, trained.
inline constexpr auto sloped = elementwise([](auto x, auto slope) {
  return select(x > decltype(x)(0), x, slope * x);  // there is no `if` on elements: both sides are computed
});

/// A layer whose slopes are learned, one to a channel (He et al. 2015).
template <Index Width>
struct LearnedSlope {
  Parameter<float, Shape<Width>> slope{init::zeros};
  auto operator()(const auto& x) const { return sloped(x, slope); }
};

int main() {
  // With what stands around it, it is one expression and one loop.
  const Tensor<float, Shape<5>> x{-4.8, -1.5, 0, 1.5, 4.8};
  std::cout << squareplus(x) << "\nabove relu by " << sum(squareplus(x) - relu(x)) << " in all\n";

  // Its derivative is (1 + x / sqrt(x^2 + 4)) / 2, and nobody had to say so.
  const auto slopes = grad([](const auto& v) { return sum(squareplus(v)); });
  std::cout << slopes(x) << '\n';

  // Differences in double precision agree; check_gradient throws where they do not.
  check_gradient([](const auto& v) { return squareplus(v); }, normal<Shape<3, 4>, double>(Key{7}));
  check_gradient([](const auto& v, const auto& slope) { return sloped(v, slope); },
                 normal<Shape<3, 4>, double>(Key{8}), normal<Shape<4>, double>(Key{9}));
  std::cout << "the gradients of squareplus and sloped are right\n";

  // Train the slopes until the layer is |x|.
  auto model = build<LearnedSlope<5>>(Key{0});
  auto optimizer = Sgd{model, {.learning_rate = 0.1}};
  for (int step = 0; step < 100; ++step) {
    const auto [loss, gradient] =
        value_and_grad(model, [&](Tape& tape) { return mean(square(model(tape.watch(x)) - abs(x))); });
    optimizer.step(model, gradient);
  }
  std::cout << "slopes " << round(model.slope) << '\n';
}

// Output:
// [0.2, 0.5,   1,   2,   5]
// above relu by 2.4 in all
// [0.0384615,       0.2,       0.5,       0.8,  0.961538]
// the gradients of squareplus and sloped are right
// slopes [-1, -1,  0,  0,  0]
