// expect: reshape: the numbers of elements differ
#include <burrow/tensor/indexing.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = reshape<Shape<5, 2>>(x);
}
