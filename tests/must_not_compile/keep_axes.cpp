// expect: argument_is_refused<burrow::operation::sum, bool>
#include <burrow/tensor/reduce.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = sum<1>(x, true);  // keep_axes
}
