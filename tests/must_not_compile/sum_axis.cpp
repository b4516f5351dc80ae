// expect: no matching function for call to 'sum
#include <burrow/tensor/reduce.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = sum<2>(x);
}
