// expect: gradient_error: no argument has elements of type double
#include <burrow/autodiff/gradient_check.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<3>> x{1, 2, 3};
  check_gradient([](auto& a) { return a * a; }, x);
}
