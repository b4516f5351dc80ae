// expect: element_types_are_refused<burrow::operation::cross_entropy, float, float>
#include <burrow/ops/cross_entropy/cross_entropy.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const Tensor<float, Shape<4>> targets;
  const auto y = cross_entropy(x, targets);
}
