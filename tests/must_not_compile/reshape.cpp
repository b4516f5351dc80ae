// expect: reshape: the numbers of elements differ
#include <burrow/tensor/indexing.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const auto y = burrow::reshape<burrow::Shape<5>>(x);
}
