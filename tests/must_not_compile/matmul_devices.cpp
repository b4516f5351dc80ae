// expect: devices_differ<burrow::operation::matmul, burrow::Cpu, burrow::Cuda>
#include <burrow/ops/matmul/matmul.hpp>

using namespace burrow;
using S = Shape<3, 3>;

auto multiply(const Tensor<float, S>& x, const Tensor<float, S, Cuda>& y) { return matmul(x, y); }
