// expect: shapes_do_not_broadcast<burrow::functors::Lambda<
// expect: burrow::Shape<4, 3>, burrow::Shape<5>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

inline constexpr auto squared_distance = elementwise([](auto a, auto b) { return (a - b) * (a - b); });

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const Tensor<float, Shape<5>> five;
  const auto y = squared_distance(x, five);
}
