// expect: devices_differ<burrow::functors::Add, burrow::Cpu, burrow::Cuda>
#include <burrow/tensor/tensor.hpp>

using namespace burrow;

auto add(const Tensor<float, Shape<4>>& x, const Tensor<float, Shape<4>, Cuda>& y) { return x + y; }
