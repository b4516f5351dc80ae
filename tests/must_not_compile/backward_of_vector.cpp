// expect: shapes_do_not_fit<burrow::operation::backward, burrow::Shape<3>, burrow::Shape<>
#include <burrow/autodiff/reduce.hpp>

using namespace burrow;

int main() {
  Tape tape;
  const auto x = tape.watch(Tensor<float, Shape<3>>{1, 2, 3});
  tape.backward(x * x);
}
