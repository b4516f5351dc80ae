// expect: element_types_are_refused<burrow::operation::backward, int>
#include <burrow/autodiff/reduce.hpp>

using namespace burrow;

int main() {
  Tape tape;
  const auto x = tape.watch(Tensor<std::int32_t, Shape<3>>{1, 2, 3});
  tape.backward(sum(x));
}
