// expect: axes_do_not_fit<burrow::operation::transpose, burrow::Shape<4>, -2, -1>
#include <burrow/tensor/indexing.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4>> x;
  const auto y = transpose(x);
}
