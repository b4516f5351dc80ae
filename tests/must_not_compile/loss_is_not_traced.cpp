// expect: value_and_grad: the loss is not traced
#include <burrow/nn/module.hpp>

using namespace burrow;

struct Model {
  Parameter<float, Shape<3>> weight;
};

int main() {
  const auto model = build<Model>(Key{0});
  const auto result = value_and_grad(model, [](Tape&) { return Tensor<float, Shape<>>{1}; });
}
