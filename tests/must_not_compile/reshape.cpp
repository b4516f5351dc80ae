// expect: shapes_do_not_fit<burrow::operation::reshape, burrow::Shape<4, 3>, burrow::Shape<5>
#include <burrow/tensor/indexing.hpp>

int main() {
  const burrow::Tensor<float, burrow::Shape<4, 3>> x;
  const auto y = burrow::reshape<burrow::Shape<5>>(x);
}
