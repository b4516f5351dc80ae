// expect: element_types_are_refused<burrow::functors::BitAnd, float, float>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<3>> x;
  const auto y = x & x;
}
