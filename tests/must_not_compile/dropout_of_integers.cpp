// expect: element_types_are_refused<burrow::operation::dropout, int>
#include <burrow/ops/dropout/dropout.hpp>

int main() {
  const burrow::Tensor<int, burrow::Shape<8>> x;
  auto y = burrow::dropout(x, burrow::Key{1}, 0.5);
}
