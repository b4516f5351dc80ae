// expect: axes_do_not_fit<burrow::operation::softmax, burrow::Shape<>, -1>
#include <burrow/ops/softmax/softmax.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<>> x;
  const auto y = softmax(x);
}
