// expect: deleted
// expect g++: operator+
// expect g++: A = Tensor<float, Shape<4, 3> >; B = Tensor<float, Shape<5> >
// expect clang++: operator '+'
#include <burrow/tensor/functions.hpp>
#include <burrow/tensor/tensor.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const burrow::Tensor<float, burrow::Shape<5>> bias;
  auto y = x + bias;
}
