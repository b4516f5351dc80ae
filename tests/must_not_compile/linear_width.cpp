// expect: shapes_do_not_fit<burrow::operation::linear, burrow::Shape<2, 5>, burrow::Shape<3, 4>
#include <burrow/nn/layers.hpp>

using namespace burrow;

using Model = Linear<3, 4>;

int main() {
  const auto model = build<Model>(Key{0});
  const auto y = model(Tensor<float, Shape<2, 5>>{});
}
