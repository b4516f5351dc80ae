// expect: axes_do_not_fit<burrow::operation::median, burrow::Shape<4, 3>, 2>
#include <burrow/ops/sort/quantile.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = median<2>(x);
}
