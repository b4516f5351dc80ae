// describe: an expression as text.
#include <burrow/autodiff/forward.hpp>
#include <burrow/autodiff/parameter.hpp>
#include <burrow/debug/describe.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/indexing.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {
std::string packets(const char* type, int lanes_used) {
  return lanes_used == 1 ? "one at a time\n" : std::to_string(lanes_used) + ' ' + type + " at a time\n";
}
}  // namespace

TEST_CASE("an expression is described by its functions, leaves and loop", "[debug]") {
  const auto x = zeros<Shape<4, 3>>();
  const auto bias = zeros<Shape<3>>();
  CHECK(describe(gelu(x * 0.5f + bias)) ==
        "gelu: float Shape<4, 3>\n"
        "  operator+: float Shape<4, 3>\n"
        "    operator*: float Shape<4, 3>\n"
        "      tensor: float Shape<4, 3>\n"
        "      0.5\n"
        "    tensor: float Shape<3>, repeated along axis 0\n"
        "loop: 4 rows of 3 elements, " +
            packets("float", lanes<float>));
}

TEST_CASE("numbers of every kind are described, and functions of one's own", "[debug]") {
  const auto own = elementwise([](auto x) { return x * x; });
  const auto dual = zeros<Shape<2>, DualNumber<double>>();
  const auto text = describe(own(dual * 2));
  CHECK(text.substr(0, text.find("loop")) ==
        "elementwise: dual double Shape<2>\n"
        "  operator*: dual double Shape<2>\n"
        "    tensor: dual double Shape<2>\n"
        "    2\n");
}

TEST_CASE("leaves say what they are and how they are read", "[debug]") {
  Tape tape;
  const auto x = tape.watch(zeros<Shape<dyn, 3>, double>(Shape<dyn, 3>{{2, 3}}));
  CHECK(describe(exp(x)) ==
        "exp: double Shape<2, 3>\n  traced: double Shape<2, 3>\nloop: 1 row of 6 elements, " +
            packets("double", lanes<double>));
  CHECK(describe(transpose(zeros<Shape<2, 3>>())) ==
        "tensor: float Shape<3, 2>, strides (1, 3)\nloop: 3 rows of 2 elements, " +
            packets("float", lanes<float>));
  const auto layer = build<Linear<2, 3>>(Key{1});
  CHECK(describe(layer.bias + cast<float>(zeros<Shape<3>, std::int32_t>())) ==
        "operator+: float Shape<3>\n"
        "  parameter: float Shape<3>\n"
        "  cast: float Shape<3>\n"
        "    tensor: int32 Shape<3>\n"
        "loop: 1 row of 3 elements, one at a time\n");
}
