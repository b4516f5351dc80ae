// expect: element_types_are_refused<burrow::operation::embedding, float, float>
#include <burrow/ops/embedding/embedding.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const Tensor<float, Shape<5>> five;
  const auto y = embedding(x, five);
}
