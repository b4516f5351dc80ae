// expect: deleted
// expect g++: gradient_would_be_lost
#include <burrow/autodiff/trace.hpp>

using namespace burrow;

int main() {
  Tape tape;
  const auto x = tape.watch(Tensor<float, Shape<3>>{1, 2, 3});
  const Tensor<float, Shape<3>> y = x * 2;
}
