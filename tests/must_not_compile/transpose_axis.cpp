// expect: no matching function for call to 'transpose
#include <burrow/tensor/indexing.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4>> x;
  const auto y = transpose(x);
}
