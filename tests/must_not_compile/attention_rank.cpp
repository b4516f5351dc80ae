// expect: shapes_do_not_fit<burrow::operation::causal_attention, burrow::Shape<8, 4>
#include <burrow/ops/attention/attention.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<8, 4>> x;
  const auto y = burrow::causal_attention(x, x, x, 2);  // queries are [batch, T, width]
}
