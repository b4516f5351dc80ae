// expect: shapes_do_not_broadcast<burrow::functors::Add, burrow::Shape<4, 3>, burrow::Shape<5>
#include <burrow/tensor/tensor.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const burrow::Tensor<float, burrow::Shape<5>> bias;
  auto y = x + bias;
}
