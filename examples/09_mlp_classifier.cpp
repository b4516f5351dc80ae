// Lesson 9: a classifier with hidden layers. Three arms of a spiral, shuffled batches, cross-entropy, and the
// accuracy on points that the model has not seen.
#include <iostream>

#include <burrow/burrow.hpp>

using namespace burrow;

constexpr Index samples = 900, batch = 90;

struct Classifier {
  Linear<2, 48> first;
  Linear<48, 48> second;
  Linear<48, 3> output;
  auto operator()(const auto& x) const { return output(relu(second(relu(first(x))))); }
};

/// Points, and the arm that each is on: 0, 1 or 2.
struct Spiral {
  Tensor<float, Shape<samples, 2>> x;
  Tensor<std::int32_t, Shape<samples>> arm;
};

/// Points of arms at radii from 0 to 1, off the arm by an angle: [n, 2]. The arms are 120 degrees apart.
auto points_of(const auto& arm, const auto& radius, const auto& off) {
  const Tensor angle = arm * 2.0944f + 4 * radius + off;
  return stack<1>(radius * cos(angle), radius * sin(angle));
}

Spiral draw(Key key) {
  const auto [along, across] = key.split();
  const Tensor arm = remainder(arange<Shape<samples>, std::int32_t>(), 3);
  return {points_of(arm, uniform<Shape<samples>>(along), 0.1f * normal<Shape<samples>>(across)), arm};
}

/// The share of points whose largest score is that of their arm.
float accuracy(const Classifier& model, const Spiral& data) {
  return mean(cast<float>(argmax<1>(model(data.x)) == data.arm)).item();
}

int main() {
  const Spiral train = draw(Key{1}), test = draw(Key{2});
  auto model = build<Classifier>(Key{0});
  auto optimizer = Adam{model, {.learning_rate = 5e-3, .weight_decay = 0.01}, decay_matrices_only(model)};
  const float guess = accuracy(model, test);

  for (std::uint64_t epoch = 0; epoch < 60; ++epoch) {
    const auto order = argsort(uniform<Shape<samples>>(Key{3}.fold_in(epoch)));  // another one in each epoch
    for (Index begin = 0; begin < samples; begin += batch) {
      const auto ids = slice<0, batch>(order, begin);
      const auto x = gather<0>(train.x, ids);
      const auto arm = gather<0>(train.arm, ids);
      const auto [loss, gradient] =
          value_and_grad(model, [&](Tape& tape) { return cross_entropy(model(tape.watch(x)), arm).mean(); });
      optimizer.step(model, gradient);
    }
  }

  std::cout << std::boolalpha << "a guess, at first: " << (guess < 0.6f) << '\n';
  std::cout << "above 97 % on unseen points: " << (accuracy(model, test) > 0.97f) << '\n';

  // In the middle of the arms it is sure; half-way between two of them it is not.
  const auto middles = points_of(arange<Shape<3>>(), full<Shape<3>>(0.6f), zeros<Shape<3>>());
  std::cout << "middles of the arms: " << argmax<1>(model(middles)) << ", at least 97 % sure "
            << all(max<1>(softmax(model(middles))) > 0.97f) << '\n';
}

// Output:
// a guess, at first: true
// above 97 % on unseen points: true
// middles of the arms: [0, 1, 2], at least 97 % sure true
