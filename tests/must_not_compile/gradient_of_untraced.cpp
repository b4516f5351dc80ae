// expect: argument_is_refused<burrow::operation::gradient, burrow::Tensor<float, burrow::Shape<3>
#include <burrow/autodiff/trace.hpp>

using namespace burrow;

int main() {
  Tape tape;
  const Tensor<float, Shape<3>> x{1, 2, 3};
  const auto dx = tape.gradient(x);
}
