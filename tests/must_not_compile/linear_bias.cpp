// expect: shapes_do_not_fit<burrow::operation::linear, burrow::Shape<3, 2>, burrow::Shape<5>
#include <burrow/ops/matmul/linear.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const burrow::Tensor<float, burrow::Shape<3, 2>> w;
  const burrow::Tensor<float, burrow::Shape<5>> bias;
  auto y = burrow::linear(x, w, bias);
}
