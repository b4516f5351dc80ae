// expect: shapes_do_not_fit<burrow::operation::masked_select, burrow::Shape<4, 3>, burrow::Shape<3>
#include <burrow/ops/masks/masks.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const Tensor<bool, Shape<3>> mask;
  const auto y = masked_select(x, mask);
}
