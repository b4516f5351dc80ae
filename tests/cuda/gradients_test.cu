// Gradients on the device are those of the CPU: of fused expressions with operands of every kind, and through
// the tape.
#include <catch2/catch.hpp>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/indexing.hpp>

#include "tests/cuda/gradients.hpp"

namespace {

using namespace burrow;

TEST_CASE("gradients of elementwise expressions", "[cuda]") {
  const auto f = [](const auto& a, const auto& b) { return gelu(a * 0.5f + b) * tanh(a) - b * b; };
  CHECK(gradient_distance(f, random<4, 64>(1), random<4, 64>(2)) < 1e-5);
  CHECK(gradient_distance(f, random<3, 37>(1), random<3, 37>(2)) < 1e-5);
  CHECK(gradient_distance(f, random<>(1), random<>(2)) < 1e-5);
  CHECK(gradient_distance(f, random<0, 5>(1), random<0, 5>(2)) == 0);
}

TEST_CASE("a fused expression is one kernel forward, and one backward", "[cuda]") {
  const auto launched = [](const auto& f) {
    const Index before = cuda::launches();
    f();
    return cuda::launches() - before;
  };
  const auto f = [](const auto& a, const auto& b) { return gelu(a * 0.5f + b) * tanh(a) - b * b; };
  const auto a = to<Cuda>(random<4, 64>(1)), b = to<Cuda>(random<4, 64>(2)),
             seed = to<Cuda>(random<4, 64>(3));
  CHECK(launched([&] { (void)materialize(f(a, b)); }) == 1);
  Tape tape;
  const auto y = materialize(f(tape.watch(a), tape.watch(b)));
  CHECK(launched([&] { tape.backward(y, seed); }) ==
        2);  // the seed's copy to the gradient of y, and the sweep
}

TEST_CASE("operands that repeat get sums", "[cuda]") {
  const auto f = [](const auto& a, const auto& b) { return gelu(a * b + b); };
  CHECK(gradient_distance(f, random<33, 24>(1), random<24>(2)) < 1e-5);     // along columns
  CHECK(gradient_distance(f, random<33, 24>(1), random<33, 1>(2)) < 1e-5);  // along rows
  CHECK(gradient_distance(f, random<700, 13>(1), random<>(2)) < 1e-5);      // everywhere
  CHECK(gradient_distance(f, random<24>(1), random<7, 24>(2)) < 1e-5);
  CHECK(gradient_distance(f, random<5, 1>(1), random<7>(2)) < 1e-5);  // both are sums
  CHECK(gradient_distance(f, random<2, 3, 4, 5>(1), random<3, 1, 5>(2)) < 1e-5);
}

TEST_CASE("operands that are parts or other types", "[cuda]") {
  CHECK(gradient_distance([](const auto& a) { return transpose(a) * view(a, range(0, 5), whole_axis); },
                          random<5, 5>(1)) < 1e-5);
  CHECK(gradient_distance([](const auto& a) { return exp(view(a, range(1, 6, 2), range(2, 4))); },
                          random<6, 9>(1)) < 1e-6);
  CHECK(gradient_distance([](const auto& a) { return view(a, 1) * a; }, random<4, 16>(1)) < 1e-5);
  const Tensor<bf16, Shape<6, 16>> narrow(cast<bf16>(random<6, 16>(3)));
  CHECK(gradient_distance([](const auto& a, const auto& b) { return a * cast<float>(b); }, random<16>(1),
                          narrow) < 1e-6);
  CHECK(gradient_distance([](const auto& a) { return a * a; }, narrow) < 1e-2);
}

TEST_CASE("gradients through reductions, and of a value that is used twice", "[cuda]") {
  CHECK(gradient_distance([](const auto& a) { return sum<1>(square(a)); }, random<9, 20>(1)) < 1e-5);
  CHECK(gradient_distance([](const auto& a) { return mean<0>(exp(a)) * sum(a); }, random<9, 20>(1)) < 1e-5);
  CHECK(gradient_distance([](const auto& a) { return max<1>(a); }, random<9, 20>(1)) < 1e-5);
  CHECK(gradient_distance(
            [](const auto& a) {
              const auto b = materialize(tanh(a));
              return b * 2 + sum<1>(b, keep_axes) * b;
            },
            random<9, 20>(1)) < 1e-5);
}

TEST_CASE("a tape on the device seeds a loss of one element with 1", "[cuda]") {
  Tape tape;
  const auto x = tape.watch(to<Cuda>(random<5, 3>(1)));
  const auto unused = tape.watch(to<Cuda>(random<4>(2)));
  tape.backward(mean(x * 2));
  CHECK(distance(tape.gradient(x), full<Shape<5, 3>>(2.0f / 15)) < 1e-5);
  CHECK(distance(tape.gradient(unused), zeros<Shape<4>>()) == 0);
}

}  // namespace
