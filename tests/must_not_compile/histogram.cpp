// expect: element_types_are_refused<burrow::operation::histogram, float, double>
#include <burrow/ops/search/search.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4>> x;
  const Tensor<double, Shape<3>> edges;
  const auto counts = histogram(x, edges);
}
