#include <burrow/tensor/print.hpp>
#include <catch2/catch.hpp>
#include <limits>
#include <sstream>

#include "tests/tensor/reference.hpp"

using namespace burrow;

namespace {

template <class E>
std::string text(const E& e) {
  std::ostringstream out;
  out << e;
  return out.str();
}

}  // namespace

TEST_CASE("Tensors print as nested brackets with aligned columns") {
  CHECK(text(Tensor<float, Shape<>>{2.5f}) == "2.5");
  CHECK(text(Tensor<float, Shape<3>>{1, -2.25f, 100}) == "[    1, -2.25,   100]");
  CHECK(text(arange<Shape<2, 3>, std::int32_t>() * 5) == "[[ 0,  5, 10],\n [15, 20, 25]]");
  CHECK(text(arange<Shape<2, 1, 2>, std::int64_t>()) == "[[[0, 1]],\n\n [[2, 3]]]");
}

TEST_CASE("Element types print as their values") {
  CHECK(text(arange<Shape<3>>() > 1.0f) == "[false, false,  true]");
  CHECK(text(Tensor<bf16, Shape<2>>{0.5f, 3}) == "[0.5,   3]");
  CHECK(text(full<Shape<>, double>(1.0 / 3)) == "0.333333");
  CHECK(text(Tensor<std::uint8_t, Shape<2>>{7, 65}) == "[ 7, 65]");
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(text(Tensor<double, Shape<3>>{infinity, -1e20, 1e-7}) == "[   inf, -1e+20,  1e-07]");
}

TEST_CASE("Views and expressions print their values") {
  const auto x = arange<Shape<2, 2>>();
  CHECK(text(transpose(x)) == "[[0, 2],\n [1, 3]]");
  CHECK(text(x * x + 1) == "[[ 1,  2],\n [ 5, 10]]");
}

TEST_CASE("Nothing prints as empty brackets") {
  CHECK(text(zeros<Shape<0>>()) == "[]");
  CHECK(text(zeros<Shape<0, 3>>()) == "[]");
  CHECK(text(zeros<Shape<2, 0>>()) == "[[],\n []]");
}

TEST_CASE("Of large tensors the ends of each axis are shown") {
  CHECK(text(arange<Shape<1001>, std::int32_t>()) == "[   0,    1,    2, ...,  998,  999, 1000]");
  const std::string shown = text(arange<Shape<1000>, std::int32_t>());
  CHECK(shown.find("...") == std::string::npos);
  CHECK(text(arange<Shape<501, 2>, std::int32_t>()) ==
        "[[   0,    1],\n [   2,    3],\n [   4,    5],\n ...,\n [ 996,  997],\n [ 998,  999],\n [1000, "
        "1001]]");
}
