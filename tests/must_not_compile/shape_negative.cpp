// expect: Shape: an extent is a number >= 0, or dyn
#include <burrow/core/shape.hpp>

int main() { const burrow::Shape<3, -4> shape; }
