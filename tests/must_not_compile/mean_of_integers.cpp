// expect: element_types_are_refused<burrow::operation::mean, int>
#include <burrow/tensor/reduce.hpp>

using namespace burrow;

int main() {
  const Tensor<std::int32_t, Shape<4>> x;
  const auto y = mean(x);
}
