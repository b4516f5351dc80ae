// expect: shapes_do_not_fit<burrow::operation::embedding, burrow::Shape<5>, burrow::Shape<2>
#include <burrow/ops/embedding/embedding.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<5>> five;
  const Tensor<std::int32_t, Shape<2>> ids;
  const auto y = embedding(five, ids);
}
