// expect: axes_do_not_fit<burrow::operation::argmax, burrow::Shape<4, 3>, -3>
#include <burrow/ops/argmax/argmax.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = argmax<-3>(x, keep_axes);
}
