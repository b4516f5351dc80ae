// expect: indices_do_not_fit<burrow::operation::view, burrow::Shape<4, 3>, burrow::WholeAxis,
// burrow::StaticIndex<3>
#include <burrow/tensor/slicing.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = view(x, whole_axis, index<3>());
}
