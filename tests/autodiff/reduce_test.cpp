#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace {

constexpr double tolerance = 1e-9;

const auto tensor = [] { return normal<Shape<3, 4, 9>, double>(Key{1}); };

}  // namespace

TEST_CASE("Gradients of sums and means over every kind of axes") {
  const auto x = tensor();
  CHECK(gradient_error([](auto& a) { return sum(a * a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return sum<0>(exp(a)); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return sum<1>(sin(a)); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return sum<-1>(a * a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return sum<0, 2>(a * a, keep_axes); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return mean(exp(a)); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return mean<1, 2>(a * a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return mean<1>(sin(a), keep_axes); }, x) < tolerance);
}

TEST_CASE("Gradients of the largest and smallest") {
  const auto x = tensor();
  CHECK(gradient_error([](auto& a) { return max(a) * 2; }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return max<1>(sin(a)); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return max<0, -1>(a * a, keep_axes); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return min<2>(a); }, x) < tolerance);
  CHECK(gradient_error([](auto& a) { return min(a * a); }, x) < tolerance);
}

TEST_CASE("Elements that are equally large share the gradient") {
  Tape tape;
  const auto x = tape.watch(Tensor<double, Shape<2, 3>>{5, 1, 5, 2, 2, 2});
  tape.backward(sum(max<1>(x)) + min(x));
  const auto g = tape.gradient(x);
  CHECK((g(0, 0) == 0.5 && g(0, 1) == 1 && g(0, 2) == 0.5));
  CHECK(sum(at(g, 1)).item() == Approx(1));
  CHECK(g(1, 0) == g(1, 2));
}

TEST_CASE("Reductions feed back into expressions with what they reduced") {
  const auto x = normal<Shape<4, 7>, double>(Key{2});
  const auto softmax = [](auto& a) {
    const auto shifted = exp(a - max<1>(a, keep_axes));
    return shifted / sum<1>(shifted, keep_axes);
  };
  CHECK(gradient_error(softmax, x) < tolerance);
  const auto normalised = [](auto& a) {
    const auto centred = a - mean<1>(a, keep_axes);
    return centred / sqrt(mean<1>(square(centred), keep_axes) + 1e-3);
  };
  CHECK(gradient_error(normalised, x) < tolerance);
  const auto lengths = [](auto& a) { return transpose(a) * sqrt(sum<-1>(a * a)) + sum(a); };
  CHECK(gradient_error(lengths, x) < tolerance);
}

TEST_CASE("Reductions of strided and of dynamic operands") {
  const auto x = normal(Key{2}, Shape<dyn, 6>{{5, 6}});
  const Tensor<double, Shape<dyn, 6>> y = cast<double>(x);
  CHECK(gradient_error([](auto& a) { return sum<0>(transpose(a) * 2); }, y) < tolerance);
  CHECK(gradient_error([](auto& a) { return mean<1>(slice<1>(a, 0, 3, 2)); }, y) < tolerance);
  CHECK(gradient_error([](auto& a) { return max<0>(transpose(a)); }, y) < tolerance);
}

TEST_CASE("The sum of a traced bool or integer expression is counted, without a gradient") {
  Tape tape;
  const auto x = tape.watch(Tensor<double, Shape<3>>{-1, 2, 3});
  const auto count = sum(x > 0);
  static_assert(Traced<decltype(count)>);
  CHECK(count.item() == 2);
  tape.backward(sum(x * x) / cast<double>(count));
  CHECK(tape.gradient(x)(2) == 3);
}
