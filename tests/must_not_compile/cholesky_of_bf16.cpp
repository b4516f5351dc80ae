// expect: element_types_are_refused<burrow::operation::cholesky
#include <burrow/ops/linear_algebra/linear_algebra.hpp>

using namespace burrow;

int main() {
  const Tensor<bf16, Shape<3, 3>> a;
  const auto l = cholesky(a);
}
