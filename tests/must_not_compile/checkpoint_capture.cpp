// expect: checkpoint: the function captured a traced value
#include <burrow/autodiff/checkpoint.hpp>

using namespace burrow;

int main() {
  Tape tape;
  const auto x = tape.watch(Tensor<float, Shape<3>>{1, 2, 3});
  checkpoint([&](const auto& y) { return y * x; }, x);
}
