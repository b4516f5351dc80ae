// expect: gradient_would_be_lost<burrow::operation::print, burrow::Map<burrow::functors::Multiply
#include <burrow/autodiff/trace.hpp>
#include <burrow/tensor/print.hpp>
#include <iostream>

using namespace burrow;

int main() {
  Tape tape;
  const auto x = tape.watch(Tensor<float, Shape<3>>{1, 2, 3});
  std::cout << x * 2;
}
