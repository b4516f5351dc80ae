// expect: shapes_do_not_fit<burrow::operation::linear_cross_entropy, burrow::Shape<4, 3>, burrow::Shape<9, 5>
#include <burrow/ops/linear_cross_entropy/linear_cross_entropy.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> h;
  const Tensor<float, Shape<9, 5>> table;
  const Tensor<float, Shape<9>> bias;
  const Tensor<std::int32_t, Shape<4>> targets;
  auto loss = linear_cross_entropy(h, table, bias, targets);
}
