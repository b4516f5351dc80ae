// expect: axes_do_not_fit<burrow::operation::sum, burrow::Shape<4, 3>, 2>
#include <burrow/tensor/reduce.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const auto y = burrow::sum<2>(x);
}
