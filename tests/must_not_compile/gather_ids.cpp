// expect: element_types_are_refused<burrow::operation::gather, float>
#include <burrow/ops/gather/gather.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const Tensor<float, Shape<5>> ids;
  const auto y = gather<1>(x, ids);
}
