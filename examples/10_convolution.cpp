// Lesson 10: a convolutional classifier. Noisy images of four drawings, each anywhere in the image; few
// parameters suffice, because a convolution looks for the same things everywhere.
#include <iostream>

#include <burrow/burrow.hpp>

using namespace burrow;

constexpr Index side = 12, drawn = 6;

/// Images are [batch, height, width, channels]. How a kernel slides is part of the layer's type.
struct Classifier {
  static constexpr Window<2> same{.same = true};
  Convolution2d<1, 8, 3, same> first;
  Convolution2d<8, 16, 3, same> second;
  Linear<16, 4> output;

  auto operator()(const auto& x) const {
    const auto h = max_pool2d<2, 2>(relu(first(x)));  // [batch, side / 2, side / 2, 8]
    return output(max<1, 2>(relu(second(h))));        // the strongest answer of each channel, wherever it is
  }
};

template <Index Batch>
struct Drawings {
  Tensor<float, Shape<Batch, side, side, 1>> images;
  Tensor<std::int32_t, Shape<Batch>> kinds;  // 0 a falling line, 1 a rising one, 2 both, 3 a box
};

template <Index Batch>
Drawings<Batch> draw(Key key) {
  const Key choices = key.fold_in(0), noise = key.fold_in(1);
  Drawings<Batch> result{0.3f * normal<Shape<Batch, side, side, 1>>(noise), {}};
  for (Index n = 0; n < Batch; ++n) {
    const auto choose = [&, i = static_cast<std::uint64_t>(3 * n)](std::uint64_t which, Index below) {
      return static_cast<Index>(choices.bits(i + which)) % below;
    };
    const Index kind = choose(0, 4), top = choose(1, side - drawn), left = choose(2, side - drawn);
    const auto dot = [&](Index i, Index j) { result.images(n, top + i, left + j, 0) += 1; };
    result.kinds(n) = static_cast<std::int32_t>(kind);
    for (Index i = 0, last = drawn - 1; i < drawn; ++i) {
      if (kind == 0 || kind == 2) dot(i, i);
      if (kind == 1 || kind == 2) dot(i, last - i);
      if (kind == 3) dot(i, 0), dot(i, last), dot(0, i), dot(last, i);
    }
  }
  return result;
}

int main() {
  auto model = build<Classifier>(Key{0});
  auto optimizer = Adam{model, {.learning_rate = 1e-2}};
  for (std::uint64_t step = 0; step < 200; ++step) {
    const auto batch = draw<32>(Key{1}.fold_in(step));
    const auto [loss, gradient] = value_and_grad(model, [&](Tape& tape) {
      return cross_entropy(model(tape.watch(batch.images)), batch.kinds).mean();
    });
    optimizer.step(model, gradient);
  }

  const auto test = draw<1000>(Key{2});
  const float accuracy = mean(cast<float>(argmax<1>(model(test.images)) == test.kinds)).item();
  std::cout << std::boolalpha << parameter_count<Classifier> << " parameters\n"
            << "above 95 % of unseen drawings: " << (accuracy > 0.95f) << '\n';
}

// Output:
// 1316 parameters
// above 95 % of unseen drawings: true
