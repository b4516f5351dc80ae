// What is wrong at run time is said in one sentence: a table of misuses and their messages.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/ops/cross_entropy/cross_entropy.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/indexing.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {

using Matrix = Tensor<float, Shape<dyn, dyn>>;

Matrix matrix(Index rows, Index columns) { return ones<Shape<dyn, dyn>>(Shape<dyn, dyn>{{rows, columns}}); }

/// The message of what f throws, without the call site; "nothing" where it does not throw.
template <class F>
std::string message(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    const std::string text = error.what();
    return text.substr(0, text.rfind(" [run_time_errors_test.cpp:"));
  }
  return "nothing";
}

}  // namespace

TEST_CASE("misuse at run time has a message that names the operation and the shapes", "[debug]") {
  const auto a = matrix(2, 3), b = matrix(4, 3);
  const Tensor<std::int32_t, Shape<dyn>> ids{Shape<dyn>{{2}}, std::vector<std::int32_t>{0, 7}};
  CHECK(
      message([&] { materialize(a + b); }) ==
      "operator+: Shape<2, 3> and Shape<4, 3> do not broadcast (an extent that is broadcast is a static 1)");
  CHECK(message([&] { materialize(where(a < 1, a, b)); }) ==
        "where: Shape<2, 3> and Shape<4, 3> do not broadcast (an extent that is broadcast is a static 1)");
  CHECK(message([&] { maximum(a, b); }) ==
        "maximum: Shape<2, 3> and Shape<4, 3> do not broadcast (an extent that is broadcast is a static 1)");
  CHECK(message([&] { matmul(a, b); }) == "matmul: extents differ: Shape<2, 3> x Shape<4, 3>");
  CHECK(message([&] { reshape(a, Shape<dyn>{{5}}); }) ==
        "reshape: Shape<2, 3> has not as many elements as Shape<5>");
  CHECK(message([&] { a.item(); }) == "item: Shape<2, 3> has not exactly one element");
  CHECK(message([&] { Shape<dyn, 3>{{2, 4}}; }) == "Shape: Shape<2, 4> does not fit Shape<dyn, 3>");
  CHECK(message([&] { embedding(a, ids); }) ==
        "embedding: id 7 at position (1) of Shape<2> is not in [0, 2)");
  CHECK(message([&] { cross_entropy(b, ids); }) ==
        "cross_entropy: targets Shape<2> do not fit the rows of logits Shape<4, 3>");
  CHECK(message([&] { rms_norm(a, Tensor<float, Shape<dyn>>{Shape<dyn>{{5}}}); }) ==
        "rms_norm: gain Shape<5> does not fit the last axis of Shape<2, 3>");
  CHECK(message([&] {
          Tape tape;
          tape.backward(materialize(tape.watch(a) * 2));
        }) == "backward: the loss has Shape<2, 3> and no seed is given; reduce it to one element");
  CHECK(message([&] {
          Tape tape;
          tape.gradient(tape.watch(a));
        }) == "gradient: this tape has not run backward");
  CHECK(message([] { Projection<2, 3>{}(ones<Shape<1, 2>>()); }) ==
        "parameter of Shape<2, 3> has no elements yet; make the model with build<Model>(key)");
}

TEST_CASE("a message ends with the line of the call", "[debug]") {
  const auto a = matrix(2, 3);
  const int line = __LINE__ + 1;
  CHECK_THROWS_WITH(matmul(a, a),
                    Catch::Matchers::Contains("[run_time_errors_test.cpp:" + std::to_string(line) + "]"));
}
