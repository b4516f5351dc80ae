// Lesson 3: gradients by hand. What a tape is, what it records, and how gradients pass through views and
// products.
#include <iostream>

#include <burrow/burrow.hpp>

using namespace burrow;

int main() {
  // Differentiability is a type: Tensor in, Tensor out; Var in, Var out. There is no global mode.
  const Tensor<float, Shape<2, 2>> a{1, 2, 3, 4};
  const Tensor<float, Shape<2, 2>> b{5, 6, 7, 8};
  static_assert(!Traced<decltype(matmul(a, b))>);
  {
    Tape tape;
    const auto x = tape.watch(a), y = tape.watch(b);
    const auto product = matmul(x, transpose(y));  // the transposed view is read where it lies
    static_assert(Traced<decltype(product)>);
    tape.backward(sum(product));
    std::cout << "matmul, da =\n" << tape.gradient(x) << "\ndb =\n" << tape.gradient(y) << '\n';
  }
  {
    // A gradient reaches exactly the elements that a view shows.
    Tape tape;
    const auto x = tape.watch(a);
    tape.backward(sum(square(at<1>(x, 0))));
    std::cout << "first column\n" << tape.gradient(x) << '\n';
  }
  {
    // The gradient of an operand that was broadcast is summed over the places it met.
    Tape tape;
    const auto row = tape.watch(Tensor<float, Shape<2>>{10, 20});
    tape.backward(sum(a * row));
    std::cout << "broadcast: " << tape.gradient(row) << '\n';
  }
  {
    // An elementwise chain is one entry, however long: its inner values are computed again, in registers.
    Tape tape;
    const auto x = tape.watch(a);
    const auto loss = sum(square(x * 2 + 1) - x);
    std::cout << "entries " << tape.size() << '\n';
    tape.backward(loss);
    std::cout << "chain\n" << tape.gradient(x) << '\n';
  }
  {
    // A seed makes backward a vector-Jacobian product, and checkpoint trades memory for a second evaluation.
    Tape tape;
    const auto x = tape.watch(a);
    const auto cube = [](const auto& v) { return v * v * v; };
    tape.backward(checkpoint(cube, x), Tensor<float, Shape<2, 2>>{1, 0, 0, 1});
    std::cout << "seeded\n" << tape.gradient(x) << '\n';
  }
}

// Output:
// matmul, da =
// [[12, 14],
//  [12, 14]]
// db =
// [[4, 6],
//  [4, 6]]
// first column
// [[2, 0],
//  [6, 0]]
// broadcast: [4, 6]
// entries 1
// chain
// [[11, 19],
//  [27, 35]]
// seeded
// [[ 3,  0],
//  [ 0, 48]]
