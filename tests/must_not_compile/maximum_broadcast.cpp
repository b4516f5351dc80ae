// expect: shapes_do_not_broadcast<burrow::functors::Maximum, burrow::Shape<4, 3>, burrow::Shape<4>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const Tensor<float, Shape<4>> y;
  const auto z = maximum(x, y);
}
