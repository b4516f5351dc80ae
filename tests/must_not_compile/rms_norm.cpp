// expect: shapes_do_not_fit<burrow::operation::rms_norm, burrow::Shape<4, 3>, burrow::Shape<5>
#include <burrow/ops/rms_norm/rms_norm.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const burrow::Tensor<float, burrow::Shape<5>> gain;
  auto y = burrow::rms_norm(x, gain);
}
