// expect: gradient_of_another_model<Model, Other>
#include <burrow/optim/sgd.hpp>

using namespace burrow;

struct Model {
  Parameter<float, Shape<3>> weight;
};
struct Other {
  Parameter<float, Shape<4>> weight;
};

int main() {
  auto model = build<Model>(Key{0});
  const Gradient<Other> gradient{build<Other>(Key{1})};
  Sgd{model}.step(model, gradient);
}
