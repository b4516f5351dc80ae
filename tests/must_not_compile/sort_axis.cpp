// expect: axes_do_not_fit<burrow::operation::sort, burrow::Shape<4, 3>, 2>
#include <burrow/ops/sort/sort.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = sort<2>(x);
}
