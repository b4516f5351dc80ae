// expect: Tensor: the number of elements does not fit the shape
#include <burrow/tensor/tensor.hpp>

int main() { const burrow::Tensor<float, burrow::Shape<3>> x{1, 2}; }
