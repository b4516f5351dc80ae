// expect: indices_do_not_fit<burrow::operation::view, burrow::Shape<4, 3>, int, burrow::WholeAxis,
// burrow::WholeAxis
#include <burrow/tensor/slicing.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = view(x, 1, whole_axis, whole_axis);
}
