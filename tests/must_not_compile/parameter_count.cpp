// expect: parameter_count: the model has extents that are known at run time only
#include <burrow/nn/layers.hpp>

int main() { return burrow::parameter_count<burrow::Linear<burrow::dyn, 3>> == 0; }
