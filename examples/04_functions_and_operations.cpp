// Lesson 4: your own functions and operations. An elementwise function is one lambda; an operation is a
// forward and a backward pass.
#include <iomanip>
#include <iostream>
#include <numeric>

#include <burrow/burrow.hpp>

using namespace burrow;

// One line. It fuses with its neighbours, and the compiler finds its derivative.
inline constexpr auto mish = elementwise([](auto x) { return x * tanh(log1p(exp(x))); });

/// y_i = x_0 + ... + x_i. A prefix sum is not elementwise, so it is an operation.
template <Expression X>
auto prefix_sum(const X& x) {
  const auto tape = tape_of(x);            // a tape, or the absence of one
  const auto in = dense_operand(tape, x);  // x as elements without gaps; an expression is evaluated
  const auto* const from = in.view().data();
  Tensor<element_of<X>, shape_of<X>> y{in.shape()};
  std::partial_sum(from, from + y.size(), y.data());
  const auto backward = [in](const auto& dy) {  // dx_i = dy_i + ... + dy_last
    auto dx = dy;
    std::partial_sum(dy.values().rbegin(), dy.values().rend(), dx.values().rbegin());
    add_gradient(in, dx);
  };
  return record(tape, "prefix_sum", y, backward, in);
}

int main() {
  // Without a tape an operation is a plain function. Its operand may be an expression.
  std::cout << prefix_sum(arange<Shape<6>>() + 1) << '\n';

  // On a tape it has a gradient. x_i is in all prefixes from i on.
  Tape tape;
  const auto x = tape.watch(ones<Shape<6>>());
  tape.backward(sum(prefix_sum(x)));
  std::cout << tape.gradient(x) << '\n';

  // check_gradient compares reverse mode with differences in double precision, and throws where they differ.
  const auto point = normal<Shape<3, 4>, double>(Key{7});
  check_gradient([](const auto& v) { return mish(v); }, point);
  check_gradient([](const auto& v) { return prefix_sum(sin(v)) * v; }, normal<Shape<8>, double>(Key{8}));
  std::cout << "the gradients of mish and prefix_sum are right\n";

  // A wrong one is found: half of the gradient of v * v is lost here.
  const auto forgetful = [](const auto& v) { return v * stop_gradient(v); };
  const double error = gradient_error(forgetful, Tensor<double, Shape<2>>{1, 3});
  std::cout << "forgetful: an error of " << std::setprecision(2) << error << '\n';
}

// Output:
// [ 1,  3,  6, 10, 15, 21]
// [6, 5, 4, 3, 2, 1]
// the gradients of mish and prefix_sum are right
// forgetful: an error of 0.41
