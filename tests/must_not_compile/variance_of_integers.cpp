// expect: element_types_are_refused<burrow::operation::variance, int>
#include <burrow/ops/statistics/statistics.hpp>

using namespace burrow;

int main() {
  const Tensor<std::int32_t, Shape<4, 3>> x;
  const auto y = variance<1>(x, Correction{1});
}
