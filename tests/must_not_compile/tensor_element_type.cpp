// expect: Tensor: the element type is not one of burrow's
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

int main() { const Tensor<char, Shape<2>> x; }
