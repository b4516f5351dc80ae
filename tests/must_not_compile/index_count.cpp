// expect: number_of_indices_differs<burrow::Shape<4, 3>, 1>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const float y = x(2);
}
