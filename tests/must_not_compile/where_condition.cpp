// expect: no matching function for call to 'where
#include <burrow/tensor/functions.hpp>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<3>> x;
  const auto y = where(x, x, x);
}
