// expect: argument_is_refused<burrow::operation::watch, burrow::Var<float, burrow::Shape<3>
#include <burrow/autodiff/trace.hpp>

using namespace burrow;

int main() {
  Tape tape;
  const auto x = tape.watch(Tensor<float, Shape<3>>{1, 2, 3});
  const auto y = tape.watch(x);
}
