// expect: shapes_do_not_broadcast<burrow::functors::Subtract, burrow::Shape<4, 3>, burrow::Shape<5>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const Tensor<float, Shape<5>> five;
  const auto y = x - five;
}
