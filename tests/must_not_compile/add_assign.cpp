// expect: shapes_do_not_fit<burrow::functors::Add, burrow::Shape<5>, burrow::Shape<4, 3>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  Tensor<float, Shape<5>> y;
  y += x;
}
