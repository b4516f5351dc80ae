// expect: axes_do_not_fit<burrow::operation::slice, burrow::Shape<4, 3>, 2>
#include <burrow/tensor/indexing.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = slice<2>(x, 0, 1);
}
