// expect: element_types_are_refused<burrow::operation::softmax, int>
#include <burrow/ops/softmax/softmax.hpp>

using namespace burrow;

int main() {
  const Tensor<int, Shape<4>> x;
  const auto y = softmax(x);
}
