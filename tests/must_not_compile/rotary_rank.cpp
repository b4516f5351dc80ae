// expect: shapes_do_not_fit<burrow::operation::rotary, burrow::Shape<8>
#include <burrow/ops/rotary/rotary.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<8>> x;
  auto y = burrow::rotary(x, 2);
}
