// expect: shapes_do_not_fit<burrow::operation::max_pool2d, burrow::Shape<8, 8>
#include <burrow/ops/pooling/pooling.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<8, 8>> image;
  auto y = burrow::max_pool2d<2, 2>(image);
}
