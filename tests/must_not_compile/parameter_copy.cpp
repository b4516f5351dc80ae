// expect: deleted
// expect: Parameter
#include <burrow/autodiff/parameter.hpp>

using namespace burrow;

int main() {
  const Parameter<float, Shape<3>> weight;
  const auto copy = weight;
}
