// Lesson 2: broadcasting. Shapes meet at their last axes, and only an extent that the type knows to be 1 is
// stretched.
#include <iostream>

#include <burrow/burrow.hpp>

using namespace burrow;

int main() {
  // A column of two and a row of three make a table. Neither is copied: their elements are read again.
  const Tensor<float, Shape<2, 1>> column{1, 2};
  const Tensor<float, Shape<3>> row{10, 20, 30};
  std::cout << column + row << '\n';

  // A reduction drops its axis. What is left of the columns meets every row.
  const Tensor<float, Shape<4, 2>> x{1, 10, 3, 10, 1, 30, 3, 30};
  std::cout << "standardized columns\n" << (x - mean<0>(x)) / standard_deviation<0>(x) << '\n';

  // Along rows the reduced axis has to stay, with the extent 1.
  const Tensor<float, Shape<2, 4>> counts{1, 1, 2, 4, 5, 5, 0, 0};
  std::cout << "shares of each row\n" << counts / sum<1>(counts, keep_axes) << '\n';
  // counts / sum<1>(counts)  does not compile: Shape<2, 4> and Shape<2> do not broadcast

  // Distances of all pairs: [3, 1, 2] meets [1, 2, 2]. The differences are an expression and are not stored.
  const Tensor<float, Shape<3, 2>> towns{0, 0, 3, 4, 6, 8};
  const Tensor<float, Shape<2, 2>> wells{0, 0, 6, 0};
  const auto way = expand_dims<1>(towns) - expand_dims<0>(wells);
  static_assert(std::same_as<shape_of<decltype(way)>, Shape<3, 2, 2>>);
  const Tensor distances = sqrt(sum<2>(square(way)));
  std::cout << "distances\n" << distances << "\nnearest well " << argmin<1>(distances) << '\n';

  // An extent that is known at run time is never stretched, not even where it is 1: a batch that happens to
  // hold one sample does not spread over another by accident.
  const auto one = ones<Shape<dyn, 3>>(Shape<dyn, 3>{{1, 3}});
  const auto two = ones<Shape<dyn, 3>>(Shape<dyn, 3>{{2, 3}});
  try {
    std::cout << one + two << '\n';
  } catch (const ShapeError& error) {
    std::cout << error.what() << '\n';
  }
  std::cout << "meant:\n" << reshape<Shape<1, 3>>(one) + two << '\n';
}

// Output:
// [[11, 21, 31],
//  [12, 22, 32]]
// standardized columns
// [[-1, -1],
//  [ 1, -1],
//  [-1,  1],
//  [ 1,  1]]
// shares of each row
// [[0.125, 0.125,  0.25,   0.5],
//  [  0.5,   0.5,     0,     0]]
// distances
// [[ 0,  6],
//  [ 5,  5],
//  [10,  8]]
// nearest well [0, 0, 1]
// operator+: Shape<1, 3> and Shape<2, 3> do not broadcast (only a static 1 does) [02_broadcasting.cpp:37]
// meant:
// [[2, 2, 2],
//  [2, 2, 2]]
