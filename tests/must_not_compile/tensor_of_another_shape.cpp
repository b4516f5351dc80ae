// expect g++: to non-scalar type
// expect clang++: no viable conversion from
// expect clang++: Shape<2, 3>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<3, 2>> x;
  const Tensor<float, Shape<2, 3>> y = x;
}
