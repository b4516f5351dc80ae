// expect: argument_is_refused<burrow::operation::sum, int>
#include <burrow/tensor/reduce.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = sum(x, 1);
}
