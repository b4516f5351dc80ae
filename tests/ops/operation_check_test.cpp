// Operations under the driver that the guide gives to users.
#include <burrow/autodiff/operation_check.hpp>
#include <burrow/ops/rms_norm/rms_norm.hpp>
#include <burrow/ops/softmax/softmax.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

TEST_CASE("softmax and rms_norm pass the check of operations") {
  const auto x = normal<Shape<3, 5>, double>(Key{1});
  CHECK_NOTHROW(check_operation([](const auto& a) { return softmax(a); }, x));
  CHECK_NOTHROW(check_operation([](const auto& a, const auto& gain) { return rms_norm(a, gain); }, x,
                                normal<Shape<5>, double>(Key{2})));
}
