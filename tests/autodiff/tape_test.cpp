#include <burrow/autodiff/custom_gradient.hpp>
#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/print.hpp>
#include <catch2/catch.hpp>
#include <sstream>

using namespace burrow;

namespace {

using Table = Shape<3, 4>;

Tensor<double, Table> table() { return normal<Table, double>(Key{1}); }

/// A custom operation as docs/guide/operations.md describes it: running sums along a line.
template <Expression X>
auto running_sum(const X& x) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  Tensor<element_of<X>, shape_of<X>> y{in.shape()};
  element_of<X> total = 0;
  for (Index i = 0; i < y.size(); ++i) y.data()[i] = total += in.view().data()[i];
  const auto backward = [in](const auto& dy) {
    Tensor<element_of<X>, shape_of<X>> dx{dy.shape()};
    element_of<X> rest = 0;
    for (Index i = dy.size(); i-- > 0;) dx.data()[i] = rest += dy.data()[i];
    add_gradient(in, dx);
  };
  return record(tape, "running_sum", y, backward, in);
}

}  // namespace

TEST_CASE("One tensor that is the gradient of two values stays so for the one when the other's grows") {
  const auto f = custom_gradient([](const auto& a, const auto& b) { return a + b; },
                                 [](const auto& dy, const auto&, const auto&, const auto&) {
                                   return std::tuple{dy, dy};
                                 });
  Tape tape;
  const auto a = tape.watch(table());
  const auto b = tape.watch(table());
  const auto earlier = sum(a * 3.0);  // swept after f
  tape.backward(earlier + sum(f(a, b)));
  CHECK(tape.gradient(a)(2, 3) == 4);
  CHECK(tape.gradient(b)(2, 3) == 1);
}

TEST_CASE("What adds to a gradient that began as the loss's leaves the next loss's as it is") {
  for (int sweep = 0; sweep < 2; ++sweep) {
    Tape tape;
    const auto a = tape.watch(Tensor<float, Shape<>>{3});
    const auto b = tape.watch(Tensor<float, Shape<>>{4});
    const auto earlier = materialize(a * a);  // swept last
    tape.backward(materialize(materialize(a + b) + earlier));
    CHECK(tape.gradient(a).item() == 7);
    CHECK(tape.gradient(b).item() == 1);
  }
}

TEST_CASE("What is computed from watched values is traced, and nothing else") {
  Tape tape;
  const auto x0 = table();
  const auto x = tape.watch(x0);
  static_assert(Traced<decltype(x)> && Traced<decltype(x0 * exp(x))> && Traced<decltype(sum<0>(x))>);
  static_assert(Traced<decltype(transpose(x))> && Traced<decltype(x > 0)>);
  static_assert(!Traced<decltype(x0)> && !Traced<decltype(x.value())> &&
                !Traced<decltype(stop_gradient(x * 2))>);
  static_assert(!std::is_constructible_v<Tensor<double, Table>, decltype(x * 2)>);
  CHECK(max(abs(x.value() - x0)).item() == 0);
  CHECK(max(abs(materialize(x * 2 + x0).value() - 3 * x0)).item() < 1e-12);
}

TEST_CASE("A tape is swept once") {
  Tape tape;
  const auto x = tape.watch(table());
  const auto loss = sum(x * x);
  tape.backward(loss);
  CHECK(tape.size() == 0);
  CHECK_THROWS_WITH(
      tape.backward(loss, {"user.cpp", 5}),
      "backward: this tape has been swept already; record the computation again, or sweep it first "
      "with backward(loss, keep_record) [user.cpp:5]");
}

TEST_CASE("Gradients are there after backward, and only of what was watched") {
  Tape tape;
  const auto x = tape.watch(table());
  const auto unused = tape.watch(table());
  const auto inner = materialize(x * 2);
  const Location here{"user.cpp", 6};
  CHECK_THROWS_WITH(tape.gradient(x, here), "gradient: this tape has not run backward [user.cpp:6]");
  tape.backward(sum(inner * inner));
  CHECK(max(abs(tape.gradient(x) - 8 * x.value())).item() < 1e-12);
  CHECK(sum(abs(tape.gradient(unused))).item() == 0);
  CHECK_THROWS_WITH(tape.gradient(inner, here),
                    Catch::Contains("only those keep their gradient [user.cpp:6]"));
}

TEST_CASE("The loss is one number, or comes with a seed of its shape") {
  Tape tape;
  const auto x = tape.watch(Tensor<double, Shape<dyn>>(arange<Shape<4>, double>()));
  const auto y = materialize(x * x);
  CHECK_THROWS_WITH(
      tape.backward(y, {"user.cpp", 7}),
      "backward: the loss has Shape<4> and no seed is given; reduce it to one element [user.cpp:7]");
  CHECK_THROWS_WITH(tape.backward(y, Tensor<double, Shape<dyn>>(ones<Shape<3>, double>()), {"user.cpp", 8}),
                    "backward: a seed of Shape<3> for Shape<4> [user.cpp:8]");
  tape.backward(y, Tensor<double, Shape<dyn>>(arange<Shape<4>, double>() + 1));
  const auto gradient = tape.gradient(x);
  for (Index i = 0; i < 4; ++i) CHECK(gradient(i) == 2.0 * static_cast<double>(i * (i + 1)));
}

TEST_CASE("A sum of losses is a loss, and so is a watched value itself") {
  {
    Tape tape;
    const auto x = tape.watch(table());
    tape.backward(sum(x) + 0.5 * sum(x * x));
    CHECK(max(abs(tape.gradient(x) - (1 + x.value()))).item() < 1e-12);
  }
  Tape tape;
  const auto x = tape.watch(Tensor<double, Shape<1>>{3});
  tape.backward(x);
  CHECK(tape.gradient(x).item() == 1);
}

TEST_CASE("stop_gradient hands the value on and the gradient not") {
  Tape tape;
  const auto x = tape.watch(table());
  tape.backward(sum(stop_gradient(x * x) * x + stop_gradient(x)));
  CHECK(max(abs(tape.gradient(x) - x.value() * x.value())).item() < 1e-12);
  const auto plain = table();
  CHECK(Tensor(stop_gradient(plain))(1, 1) == plain(1, 1));
}

TEST_CASE("beside lets a constant take part in the trace, without a gradient of its own") {
  Tape tape;
  const auto x = tape.watch(table());
  const auto constant = beside(x, table());
  static_assert(Traced<decltype(constant)> && !Traced<decltype(beside(table(), table()))>);
  tape.backward(sum(constant * x + constant));
  CHECK(max(abs(tape.gradient(x) - table())).item() < 1e-12);
  CHECK_THROWS_AS(tape.gradient(constant), Error);
}

TEST_CASE("Constant inputs record nothing") {
  Tape tape{Tape::Inputs::constant};
  const auto before = memory_statistics().bytes_in_use;
  const auto x = tape.watch(table());
  {
    const auto y = sum(materialize(exp(x) * x));
    CHECK(tape.size() == 0);
    tape.backward(y);
  }
  CHECK(memory_statistics().bytes_in_use <= before + 4096);
  CHECK_THROWS_WITH(tape.gradient(x),
                    Catch::StartsWith("gradient: this value was not differentiated on this tape"));
}

TEST_CASE("An integer carries the tape but has no gradient") {
  Tape tape;
  const auto n = tape.watch(Tensor<std::int32_t, Shape<3>>{1, 2, 3});
  const auto weights = tape.watch(Tensor<double, Shape<3>>{4, 5, 6});
  const auto y = n * 2 + 1;
  static_assert(Traced<decltype(y)> && std::same_as<element_of<decltype(y)>, std::int32_t>);
  CHECK(&tape_of(y).tape[0] == &tape);
  tape.backward(sum(weights * materialize(y)) + cast<double>(sum(n)));
  const auto gradient = tape.gradient(weights);
  CHECK((gradient(0) == 3 && gradient(1) == 5 && gradient(2) == 7));
  CHECK_THROWS_AS(tape.gradient(n), Error);
}

TEST_CASE("Custom operations are differentiated, and run on plain tensors without a tape") {
  const auto x = normal<Shape<9>, double>(Key{2});
  const auto y = running_sum(x * 2);
  static_assert(std::same_as<decltype(y), const Tensor<double, Shape<9>>>);
  CHECK(y(2) == Approx(2 * (x(0) + x(1) + x(2))));
  CHECK(gradient_error([](auto& a) { return running_sum(sin(a)) * a; }, x) < 1e-9);
  CHECK(gradient_error([](auto& a) { return running_sum(running_sum(a) + running_sum(a)); }, x) < 1e-9);
  CHECK(gradient_error([](auto& a) { return running_sum(slice<0, 4>(a, 1, 4, 2)); }, x) < 1e-9);
}

TEST_CASE("A tape returns all its memory, swept or not, also after an error") {
  const auto x0 = table();
  const auto before = memory_statistics().bytes_in_use;
  const auto run = [&](bool sweep, bool fail) {
    Tape tape;
    const auto x = tape.watch(x0);
    const auto failing = record(
        tape_of(x), "failing", Tensor(x0 * 2),
        [fail](const auto&) {
          if (fail) throw Error("no gradient");
        },
        x);
    const auto loss = sum(running_sum(exp(x) * failing) * x);
    if (sweep && fail)
      CHECK_THROWS_WITH(tape.backward(loss), "no gradient");
    else if (sweep)
      tape.backward(loss);
  };
  run(false, false);
  CHECK(memory_statistics().bytes_in_use == before);
  run(true, false);
  CHECK(memory_statistics().bytes_in_use == before);
  run(true, true);
  CHECK(memory_statistics().bytes_in_use == before);
}

TEST_CASE("Recording and sweeping ask the system for nothing once they are warm") {
  const auto x0 = table();
  const auto step = [&] {
    Tape tape;
    const auto x = tape.watch(x0);
    tape.backward(sum(running_sum(exp(x)) * transpose(transpose(x))));
    return tape.gradient(x);
  };
  { const auto warm = step(); }
  const auto before = memory_statistics().system_allocations;
  for (int i = 0; i < 5; ++i) step();
  CHECK(memory_statistics().system_allocations == before);
}

TEST_CASE("Values that are traced survive the tensors they came from, and print") {
  Tape tape;
  const auto y = [&] { return exp(tape.watch(zeros<Shape<2>, double>()) * full<Shape<2>, double>(3)); }();
  const auto noise = ones<Shape<2>, double>();
  std::ostringstream out;
  out << materialize(y) << tape.watch(noise);
  CHECK(out.str() == "[1, 1][1, 1]");
}

TEST_CASE("Views and expressions are watched by their values, and read where they have one element") {
  const auto rows = table();
  Tape tape;
  const auto first = tape.watch(at(rows, 0));
  const auto doubled = tape.watch(rows * 2 + 1);
  const auto loss = sum(first * first) / 2 + sum(doubled);
  CHECK(loss.item() == Approx((sum(square(at(rows, 0))) / 2 + 2 * sum(rows) + 12).item()));
  CHECK_THROWS_AS((rows + 1).item(), ShapeError);
  tape.backward(loss);
  CHECK(max(abs(tape.gradient(first) - at(rows, 0))).item() == 0);
  CHECK(tape.gradient(doubled)(2, 3) == 1);
}
