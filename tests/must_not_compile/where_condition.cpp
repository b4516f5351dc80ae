// expect: where
#include <burrow/tensor/functions.hpp>
#include <burrow/tensor/tensor.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<3>> x;
  const auto y = burrow::where(x, x, 0.0f);  // the condition is not bool
}
