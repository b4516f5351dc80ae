// expect: elements_are_not_on_the_host<burrow::Shape<4, 3>, burrow::Cuda>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

float first(const Tensor<float, Shape<4, 3>, Cuda>& x) { return x(0, 0); }

int main() {}
