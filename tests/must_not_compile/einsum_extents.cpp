// expect: extents_of_index_differ<'j', 3, 5>
#include <burrow/ops/einsum/einsum.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> a;
  const Tensor<float, Shape<5, 2>> b;
  const auto y = einsum<"ij,jk->ik">(a, b);
}
