// expect: axes_do_not_fit<burrow::operation::at, burrow::Shape<4, 3>, -3>
#include <burrow/tensor/indexing.hpp>

using namespace burrow;

int main() {
  const Tensor<float, Shape<4, 3>> x;
  const auto y = at<-3>(x, 0);
}
