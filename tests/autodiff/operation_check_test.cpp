#include <burrow/autodiff/custom_gradient.hpp>
#include <burrow/autodiff/operation_check.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

#include "tests/threads.hpp"

using namespace burrow;

namespace {

/// How the operation below is broken.
enum class Fault {
  none,
  gradient,
  accumulation,
  strides,
  float_only,
  dynamic_shape,
  untraced,
  threads,
  untold
};

/// y = a b, row by row, written with pointers as a custom operation may be, and broken on demand.
Fault fault = Fault::none;

const auto product = [](const auto& a, const auto& b) {
  const auto tape = tape_of(a, b);
  using T = element_of<decltype(a)>;
  const auto raw = operand(tape, a);
  const auto l = dense_operand(tape, raw);
  const auto* const from = fault == Fault::strides ? raw.view().data() : l.view().data();
  const auto r = dense_operand(tape, b);
  Tensor<T, shape_of<decltype(a)>> y{l.shape()};
  for (Index i = 0; i < y.size(); ++i) y.data()[i] = static_cast<T>(from[i] * r.view().data()[i]);
  if (fault == Fault::float_only && !std::same_as<T, double>) y.data()[1] = 100;
  if (fault == Fault::dynamic_shape && !shape_of<decltype(a)>::is_static) y.data()[0] = T(0);
  if (fault == Fault::untraced && !Traced<decltype(a)>) y.data()[0] = T(0);
  if (fault == Fault::threads) y.data()[2] = static_cast<T>(threads());
  const auto backward = [l, r](const auto& dy) {
    Tensor<T, shape_of<decltype(a)>> da{dy.shape()}, db{dy.shape()};
    for (Index i = 0; i < dy.size(); ++i) {
      da.data()[i] = static_cast<T>(dy.data()[i] * r.view().data()[i]);
      db.data()[i] = static_cast<T>(dy.data()[i] * l.view().data()[i]);
    }
    if (fault == Fault::gradient) db.data()[3] = T(0);
    if constexpr (Traced<decltype(l)>) {
      if (fault == Fault::accumulation && l.wanted())
        std::copy_n(std::as_const(da).data(), da.size(), l.gradient_target().data);
      else
        add_gradient(l, da);
    }
    add_gradient(r, db);
  };
  if constexpr (Traced<decltype(l)>)
    if (fault == Fault::untold) return tape.tape->record("product", y, true, backward);
  return record(tape, "product", y, backward, l, r);
};

const auto a = [] { return normal<Shape<3, 5>, double>(Key{1}); };
const auto b = [] { return normal<Shape<3, 5>, double>(Key{2}); };

std::string complaint(Fault broken) {
  const Threads four{4};
  fault = broken;
  try {
    check_operation(product, a(), b());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("A correct operation passes") { CHECK(complaint(Fault::none) == ""); }

TEST_CASE("Each fault of an operation is found, and said") {
  using Catch::Matchers::StartsWith;
  CHECK_THAT(complaint(Fault::gradient), StartsWith("check_gradient: the gradient of element 3"));
  CHECK_THAT(complaint(Fault::accumulation), StartsWith("check_operation: operands used twice: element"));
  CHECK_THAT(complaint(Fault::strides), StartsWith("check_operation: strided operands: element"));
  CHECK_THAT(complaint(Fault::float_only),
             StartsWith("check_operation: float: element 1 (row-major) of the value is 100.0"));
  CHECK_THAT(complaint(Fault::dynamic_shape), StartsWith("check_operation: run-time extents: element 0"));
  CHECK_THAT(complaint(Fault::untraced), StartsWith("check_operation: untraced operands: element 0"));
  CHECK_THAT(complaint(Fault::threads), StartsWith("check_operation: 1 threads: element 2"));
  CHECK_THAT(complaint(Fault::untold), StartsWith("check_operation: observers are not told of the value"));
}

TEST_CASE("A custom gradient takes the place of the function's own") {
  const auto clipped =
      custom_gradient([](const auto& x) { return x; },
                      [](const auto& dy, const auto&, const auto&) { return minimum(maximum(dy, -1), 1); });
  const Tensor<double, Shape<3>> x{1, 2, 3};
  Tape tape;
  const auto w = tape.watch(x);
  tape.backward(clipped(w * 2), Tensor<double, Shape<3>>{5, -0.5, -7});
  CHECK(max(abs(tape.gradient(w) - Tensor<double, Shape<3>>{2, -1, -2})).item() == 0);
  static_assert(std::same_as<decltype(clipped(x)), Tensor<double, Shape<3>>>);
  CHECK(max(abs(clipped(x) - x)).item() == 0);
}

TEST_CASE(
    "A custom gradient of several arguments is a tuple, without an entry's gradient where it has none") {
  const auto scale =
      custom_gradient([](const auto& x, const auto& n, const auto& s) { return exp(x * s) * n; },
                      [](const auto& dy, const auto& y, const auto& x, const auto&, const auto& s) {
                        return std::tuple{dy * y * s, no_gradient, sum<0>(dy * y * x, keep_axes)};
                      });
  check_operation(scale, a(), Tensor<std::int32_t, Shape<5>>{1, 2, 3, 4, 5},
                  normal<Shape<1, 5>, double>(Key{4}));
}
