// expect: rank_of_operand_is_not_that_of_its_subscripts<2, burrow::Shape<5, 2>
#include <burrow/ops/einsum/einsum.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> a;
  const Tensor<float, Shape<5, 2>> b;
  const auto y = einsum<"ij,jkl->ikl">(a, b);
}
