// expect: shapes_do_not_fit<burrow::operation::take_along, burrow::Shape<4, 3>, burrow::Shape<5, 2>
#include <burrow/ops/gather/gather.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const Tensor<std::int64_t, Shape<5, 2>> ids;
  const auto y = take_along<1>(x, ids);
}
