// What someone else's first program does.
#include <burrow/burrow.hpp>
#include <burrow/version.hpp>
#include <iostream>

int main() {
  const burrow::Tensor<float, burrow::Shape<3>> x{1, 2, 3};
  std::cout << burrow::version << ": " << burrow::sum(x * 2.0f) << '\n';
}
