// expect: shapes_do_not_fit<burrow::operation::convolution2d,
// expect: burrow::Shape<1, 8, 8, 3>, burrow::Shape<3, 3, 4, 8>
#include <burrow/ops/convolution/convolution.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<1, 8, 8, 3>> x;
  const burrow::Tensor<float, burrow::Shape<3, 3, 4, 8>> weight;
  auto y = burrow::convolution2d(x, weight);
}
