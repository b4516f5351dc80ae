// Lesson 1: tensors. The shape is part of the type, expressions are lazy, and shapes that do not fit do not
// compile.
#include <iomanip>
#include <iostream>

#include <burrow/burrow.hpp>

using namespace burrow;

int main() {
  // A tensor owns its elements. The rank is in the type, and so is every extent that is not `dyn`.
  const auto x = arange<Shape<4, 3>>();
  const Tensor<float, Shape<3>> bias{1, 2, 3};

  // Nothing is computed here: the type of y is the graph. `bias` meets every row of x.
  const auto y = relu(x * 0.5f - bias);
  static_assert(std::same_as<shape_of<decltype(y)>, Shape<4, 3>>);
  // const auto wrong = x + Tensor<float, Shape<5>>{};  // does not compile: <4, 3> and <5> do not fit

  // An assignment to a tensor, a reduction and printing each evaluate the whole chain in one pass.
  std::cout << "y =\n" << y << "\nrow sums " << sum<1>(y) << ", mean " << mean(y) << '\n';
  std::cout << "positive in each column " << sum<0>(y > 0) << '\n';

  // Copies are values: a tensor never changes because another one does.
  Tensor a = bias;
  Tensor b = a;
  b(0) = 100;
  std::cout << "a " << a << ", b " << b << '\n';

  // A number of rows that is known at run time. Extents that are still known are still checked.
  Tensor<float, Shape<dyn, 3>> rows{Shape<dyn, 3>{{2, 3}}};
  std::fill(rows.values().begin(), rows.values().end(), 1.0f);
  std::cout << "run-time rows\n" << rows + bias << '\n';

  // Where only the run time can know, the error is one sentence.
  try {
    std::cout << rows + x << '\n';
  } catch (const ShapeError& error) {
    std::cout << error.what() << '\n';
  }

  // Random numbers come from a key. The same key gives the same numbers, on any number of threads.
  const auto noise = normal<Shape<10000>>(Key{42});
  std::cout << std::fixed << std::setprecision(2) << "noise: mean " << mean(noise).item() << ", variance "
            << mean(square(noise)).item() << '\n';
}

// Output:
// y =
// [[  0,   0,   0],
//  [0.5,   0,   0],
//  [  2, 1.5,   1],
//  [3.5,   3, 2.5]]
// row sums [  0, 0.5, 4.5,   9], mean 1.16667
// positive in each column [3, 2, 2]
// a [1, 2, 3], b [100,   2,   3]
// run-time rows
// [[2, 3, 4],
//  [2, 3, 4]]
// operator+: Shape<2, 3> and Shape<4, 3> do not broadcast (only a static 1 does) [01_tensors.cpp:37]
// noise: mean 0.00, variance 0.98
