// expect: shapes_do_not_fit<burrow::operation::layer_norm, burrow::Shape<4, 3>, burrow::Shape<3>,
// burrow::Shape<4>
#include <burrow/ops/layer_norm/layer_norm.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const burrow::Tensor<float, burrow::Shape<3>> gain;
  const burrow::Tensor<float, burrow::Shape<4>> bias;
  auto y = burrow::layer_norm(x, gain, bias);
}
