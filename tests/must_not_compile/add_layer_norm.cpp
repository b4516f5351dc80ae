// expect: shapes_do_not_fit<burrow::operation::add_layer_norm, burrow::Shape<4, 3>, burrow::Shape<3>,
// burrow::Shape<5>
#include <burrow/ops/layer_norm/layer_norm.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const burrow::Tensor<float, burrow::Shape<4, 3>> y;
  const burrow::Tensor<float, burrow::Shape<3>> gain;
  const burrow::Tensor<float, burrow::Shape<5>> bias;
  auto z = burrow::add_layer_norm(x, y, gain, bias);
}
