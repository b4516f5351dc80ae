// Operations on half: computed in float, rounded where they are stored.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/layer_norm/layer_norm.hpp>
#include <burrow/ops/matmul/matmul.hpp>
#include <burrow/ops/softmax/softmax.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {

/// The number of elements of a half result that are not the float result, rounded (but for the last bit).
template <class A, class B>
Index unlike(const A& a, const B& b) {
  const Tensor error = abs(cast<float>(a) - b), allowed = abs(Tensor(b)) * 1e-3f + 1e-6f;
  return static_cast<Index>(sum(error > allowed).item());
}

}  // namespace

TEST_CASE("Products, softmax, norms and their gradients of half are those of float, rounded") {
  const Tensor<half, Shape<37, 50>> a = cast<half>(normal<Shape<37, 50>>(Key{1}));
  const Tensor<half, Shape<50, 19>> b = cast<half>(normal<Shape<50, 19>>(Key{2}));
  const Tensor<float, Shape<37, 50>> a32 = cast<float>(a);
  const Tensor<float, Shape<50, 19>> b32 = cast<float>(b);
  static_assert(std::same_as<element_of<decltype(matmul(a, b))>, half>);
  static_assert(std::same_as<element_of<decltype(matmul(a, b32))>, float>);
  CHECK(unlike(matmul(a, b), matmul(a32, b32)) == 0);
  CHECK(unlike(softmax(a), softmax(a32)) == 0);
  CHECK(unlike(layer_norm(a, full<Shape<50>, half>(2), full<Shape<50>, half>(1)),
               layer_norm(a32, full<Shape<50>>(2.0f), full<Shape<50>>(1.0f))) == 0);
  Tape tape;
  const auto x = tape.watch(a);
  const auto w = tape.watch(b);
  tape.backward(sum(cast<float>(matmul(x, w)) * 0.5f));
  const Tensor<float, Shape<37, 19>> dy = full<Shape<37, 19>>(0.5f);
  CHECK(unlike(tape.gradient(x), matmul(dy, transpose(b32))) == 0);
  CHECK(unlike(tape.gradient(w), matmul(transpose(a32), dy)) == 0);
}
