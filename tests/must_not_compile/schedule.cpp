// expect: JoinedSchedule
// expect g++: constraint
// expect clang++: constraints not satisfied for class template 'JoinedSchedule' [with First = double
#include <burrow/optim/schedule.hpp>

using namespace burrow;

int main() { const JoinedSchedule<double, ConstantSchedule> schedule{1e-3, 10, ConstantSchedule{1e-4}}; }
