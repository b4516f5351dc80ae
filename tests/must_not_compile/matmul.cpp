// expect: deleted
// expect: matmul
// expect g++: A = Tensor<float, Shape<4, 3> >; B = Tensor<float, Shape<5, 2> >
#include <burrow/ops/matmul/matmul.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> a;
  const burrow::Tensor<float, burrow::Shape<5, 2>> b;
  auto c = burrow::matmul(a, b);
}
