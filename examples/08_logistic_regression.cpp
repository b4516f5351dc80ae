// Lesson 8: logistic regression. Two clouds of points, one linear layer, and the probability that a point
// belongs to the second cloud.
#include <iostream>

#include <burrow/burrow.hpp>

using namespace burrow;

constexpr Index samples = 4000;

/// Points of two clouds with deviation 1 around -center and +center, and the cloud of each: 0 or 1.
struct Points {
  Tensor<float, Shape<samples, 2>> x;
  Tensor<float, Shape<samples, 1>> y;
};

Points draw(Key key) {
  const Tensor<float, Shape<2>> center{1, -0.5f};
  const auto [coins, places] = key.split();
  const Tensor y = cast<float>(uniform<Shape<samples, 1>>(coins) < 0.5f);
  return {(2 * y - 1) * center + normal<Shape<samples, 2>>(places), y};
}

/// -log of the probability sigmoid(z) of y = 1, or 1 - sigmoid(z) of y = 0, in a form that does not overflow.
auto surprise(const auto& z, const auto& y) { return mean(softplus(z) - y * z); }

float accuracy(const auto& model, const Points& points) {
  return mean(cast<float>((model(points.x) > 0) == (points.y > 0))).item();
}

int main() {
  const Points train = draw(Key{1}), test = draw(Key{2});
  auto model = build<Linear<2, 1>>(Key{0});
  auto optimizer = Sgd{model, {.learning_rate = 1, .momentum = 0.9}};
  const float guess = accuracy(model, test);
  for (int step = 0; step < 100; ++step) {
    const auto [loss, gradient] =
        value_and_grad(model, [&](Tape& tape) { return surprise(model(tape.watch(train.x)), train.y); });
    optimizer.step(model, gradient);
  }

  // For such clouds theory knows the best weights, 2 center, and the best accuracy, Phi(|center|) = 0.868.
  std::cout << std::boolalpha << "weights, rounded\n" << round(model.weight) << '\n';
  const float reached = accuracy(model, test);
  std::cout << "better than the untrained model: " << (reached > guess) << '\n';
  std::cout << "within 0.02 of the best: " << (std::abs(reached - 0.868f) < 0.02f) << '\n';

  // The output is a probability, not only a side: among the points that got about 0.7, 70 % are of cloud 1.
  const auto p = sigmoid(model(test.x));
  const Tensor chosen = cast<float>((p > 0.6f) && (p < 0.8f));
  const Tensor share = sum(chosen * test.y) / sum(chosen);
  std::cout << "calibrated: " << (abs(share - 0.7f) < 0.05f) << '\n';
}

// Output:
// weights, rounded
// [[ 2],
//  [-1]]
// better than the untrained model: true
// within 0.02 of the best: true
// calibrated: true
