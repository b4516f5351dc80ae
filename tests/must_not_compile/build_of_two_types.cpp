// expect: build: all parameters of a model have the same element type
#include <burrow/nn/module.hpp>

using namespace burrow;

struct Model {
  Parameter<float, Shape<3>> a;
  Parameter<double, Shape<3>> b;
};

int main() { const auto model = build<Model>(Key{0}); }
