// expect: axes_do_not_fit<burrow::operation::max, burrow::Shape<4, 3>, 1, -1>
#include <burrow/tensor/reduce.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = max<1, -1>(x);
}
