// expect: shapes_do_not_fit<burrow::operation::solve, burrow::Shape<3, 3>, burrow::Shape<4>
#include <burrow/ops/linear_algebra/linear_algebra.hpp>

using namespace burrow;

int main() {
  const Tensor<double, Shape<3, 3>> a;
  const Tensor<double, Shape<4>> b;
  const auto x = solve(a, b);
}
