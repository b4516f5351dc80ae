// expect: element_types_are_refused<burrow::functors::Subtract, bool, bool>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() {
  const Tensor<bool, Shape<3>> p, q;
  const auto y = p - q;
}
