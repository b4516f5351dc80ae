// expect: shapes_do_not_broadcast<burrow::functors::Add, burrow::Shape<4, 3>, burrow::Shape<4, 2>
#include <burrow/ops/rms_norm/rms_norm.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const burrow::Tensor<float, burrow::Shape<4, 2>> y;
  const burrow::Tensor<float, burrow::Shape<3>> gain;
  auto z = burrow::add_rms_norm(x, y, gain);
}
