// expect: no matching
// expect: backward
#include <burrow/autodiff/reduce.hpp>

int main() {
  burrow::Tape tape;
  const burrow::Tensor<float, burrow::Shape<3>> x{1, 2, 3};
  tape.backward(sum(x * x));
}
