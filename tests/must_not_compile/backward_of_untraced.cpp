// expect: is_not_traced<burrow::operation::backward, burrow::Tensor<float, burrow::Shape<>
#include <burrow/autodiff/reduce.hpp>

using namespace burrow;

int main() {
  Tape tape;
  const Tensor<float, Shape<3>> x{1, 2, 3};
  tape.backward(sum(x * x));
}
