// expect: shapes_do_not_fit<burrow::operation::add_gradient, burrow::Shape<3>, burrow::Shape<4>
#include <burrow/autodiff/trace.hpp>

using namespace burrow;

int main() {
  Tape tape;
  const auto x = tape.watch(Tensor<float, Shape<3>>{1, 2, 3});
  add_gradient(x, Tensor<float, Shape<4>>{1, 1, 1, 1});
}
