// expect: module_has_no_parameters<burrow::operation::build, Scale>
#include <burrow/nn/module.hpp>

using namespace burrow;

struct Scale {
  auto operator()(const auto& x) const { return x * 2; }
};

int main() { const auto model = build<Scale>(Key{0}); }
