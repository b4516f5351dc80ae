// expect: shapes_do_not_fit<burrow::operation::matmul, burrow::Shape<4, 3>, burrow::Shape<5, 2>
#include <burrow/ops/matmul/matmul.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> a;
  const burrow::Tensor<float, burrow::Shape<5, 2>> b;
  auto c = burrow::matmul(a, b);
}
