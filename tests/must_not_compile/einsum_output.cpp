// expect: output_index_is_in_no_operand<'z'>
#include <burrow/ops/einsum/einsum.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> a;
  const Tensor<float, Shape<5, 2>> b;
  const auto y = einsum<"ij,kl->iz">(a, b);
}
