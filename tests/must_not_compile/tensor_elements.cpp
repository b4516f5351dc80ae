// expect: Tensor: the number of elements does not fit the shape
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() { const Tensor<float, Shape<2, 3>> x{1, 2, 3, 4, 5}; }
