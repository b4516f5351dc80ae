// expect: shapes_do_not_fit<burrow::operation::cross_entropy, burrow::Shape<4, 3>, burrow::Shape<5>
#include <burrow/ops/cross_entropy/cross_entropy.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> logits;
  const burrow::Tensor<std::int32_t, burrow::Shape<5>> targets;
  auto loss = burrow::cross_entropy(logits, targets);
}
