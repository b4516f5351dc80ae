// expect: shapes_do_not_fit<burrow::operation::broadcast_to, burrow::Shape<4, 3>, burrow::Shape<4, 6>
#include <burrow/tensor/rearranging.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = broadcast_to<Shape<4, 6>>(x);
}
