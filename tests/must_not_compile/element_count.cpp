// expect: number_of_elements_differs<burrow::Shape<3>, 2>
#include <burrow/tensor/tensor.hpp>

int main() { const burrow::Tensor<float, burrow::Shape<3>> x{1, 2}; }
