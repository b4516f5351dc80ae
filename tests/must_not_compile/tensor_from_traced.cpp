// expect: deleted
// expect: Tensor
#include <burrow/autodiff/trace.hpp>

int main() {
  burrow::Tape tape;
  const auto x = tape.watch(burrow::Tensor<float, burrow::Shape<3>>{1, 2, 3});
  const burrow::Tensor<float, burrow::Shape<3>> y(x * x);  // would lose the gradient
}
