// expect: no matching function for call to 'maximum
#include <burrow/tensor/functions.hpp>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const Tensor<float, Shape<4>> y;
  const auto z = maximum(x, y);
}
