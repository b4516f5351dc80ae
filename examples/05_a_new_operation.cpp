// Lesson 5: a new operation. What is not elementwise is a forward pass and a function for the backward pass;
// check_operation then tries it in every way in which it will be used.
#include <iostream>
#include <numeric>
#include <string>

#include <burrow/burrow.hpp>

using namespace burrow;

/// y_i = x_0 + ... + x_i.
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

/// The same with a mistake: the gradient is not summed.
template <Expression X>
auto careless_sum(const X& x) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  const Tensor y = prefix_sum(in.view());
  return record(
      tape, "careless_sum", y, [in](const auto& dy) { add_gradient(in, dy); }, in);
}

int main() {
  // Without a tape an operation is a plain function. Its operand may be an expression.
  std::cout << prefix_sum(arange<Shape<6>>() + 1) << '\n';

  // On a tape it has a gradient. x_i is in all prefixes from i on.
  Tape tape;
  const auto x = tape.watch(ones<Shape<6>>());
  tape.backward(sum(prefix_sum(x)));
  std::cout << tape.gradient(x) << '\n';

  // Differences, float and bf16, run-time extents, views, fused operands, threads: all have to agree.
  const auto point = normal<Shape<9>, double>(Key{8});
  check_operation([](const auto& v) { return prefix_sum(v); }, point);
  std::cout << "prefix_sum is right\n";

  // A mistake is found, and named.
  try {
    check_gradient([](const auto& v) { return careless_sum(v); }, Tensor<double, Shape<3>>{1, 2, 3});
  } catch (const Error& error) {
    const std::string text = error.what();
    std::cout << text.substr(text.find("the gradient")) << '\n';
  }

  // Where operations exist already, nothing of this is needed: burrow has this one as cumsum.
  std::cout << "as cumsum: " << std::boolalpha << (max(abs(prefix_sum(point) - cumsum<0>(point))).item() == 0)
            << '\n';
}

// Output:
// [ 1,  3,  6, 10, 15, 21]
// [6, 5, 4, 3, 2, 1]
// prefix_sum is right
// the gradient of element 1 (row-major) of argument 0 is -0.720218, but differences give 0.081940
// as cumsum: true
