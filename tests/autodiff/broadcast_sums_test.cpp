// How the sums that broadcast leaves need reach the gradient: in place, in chunks, beside what is there. All
// numbers are small integers, so every order of the additions gives the same sum exactly.
#include <burrow/autodiff/custom_gradient.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/print.hpp>
#include <catch2/catch.hpp>
#include <tests/threads.hpp>

using namespace burrow;

namespace {

using Block = Tensor<float, Shape<dyn, dyn, dyn>>;
using Row = Tensor<float, Shape<dyn>>;
using Table = Tensor<float, Shape<dyn, dyn>>;

/// Integers from -3 to 3 without a pattern that an axis could share.
template <class Shaped>
Shaped integers(const std::array<Index, Shaped::shape_type::extents.size()>& extents, Index seed = 0) {
  Shaped result{typename Shaped::shape_type{extents}};
  for (Index i = 0; i < result.size(); ++i)
    result.data()[i] = static_cast<float>((i * 31 + i / 7 * 5 + seed) % 7 - 3);
  return result;
}

std::vector<float> numbers(const auto& x) {
  const auto values = materialize(x);
  return {values.data(), values.data() + values.size()};
}

/// The sums of x over all axes but those in `kept`.
std::vector<float> sums(const Block& x, const std::array<bool, 3>& kept) {
  const auto& extents = x.shape().values();
  std::array<Index, 3> steps{};
  Index size = 1;
  for (std::size_t axis = 3; axis-- > 0;)
    if (kept[axis]) {
      steps[axis] = size;
      size *= extents[axis];
    }
  std::vector<float> result(static_cast<std::size_t>(size));
  for (Index i = 0, at = 0; i < extents[0]; ++i)
    for (Index j = 0; j < extents[1]; ++j)
      for (Index k = 0; k < extents[2]; ++k, ++at)
        result[static_cast<std::size_t>(i * steps[0] + j * steps[1] + k * steps[2])] += x.data()[at];
  return result;
}

}  // namespace

TEST_CASE("A leaf that repeats gets its sum along any axes, in one chunk and in many") {
  for (const std::array<Index, 3> extents : {std::array<Index, 3>{3, 4, 5},
                                             {1, 1, 1},
                                             {0, 4, 5},
                                             {4, 5, 0},
                                             {300, 7, 9},
                                             {2, 700, 19},
                                             {90, 60, 33}}) {
    const Block x = integers<Block>(extents);
    INFO(x.shape().text());
    for (const int count : {1, 2}) {
      const Threads scope{count};
      Tape tape;
      const auto first =
          tape.watch(Tensor<float, Shape<dyn, 1, 1>>(zeros(Shape<dyn, 1, 1>{{extents[0], 1, 1}})));
      const auto middle = tape.watch(Tensor<float, Shape<dyn, 1>>(zeros(Shape<dyn, 1>{{extents[1], 1}})));
      const auto last = tape.watch(integers<Row>({extents[2]}));
      const auto number = tape.watch(Tensor<float, Shape<>>{1});
      tape.backward(sum(x * (first + last)) + sum(x * (middle + number)));
      CHECK(numbers(tape.gradient(first)) == sums(x, {true, false, false}));
      CHECK(numbers(tape.gradient(middle)) == sums(x, {false, true, false}));
      CHECK(numbers(tape.gradient(last)) == sums(x, {false, false, true}));
      CHECK(numbers(tape.gradient(number)) == sums(x, {false, false, false}));
    }
  }
}

TEST_CASE("The sums of fractions have the same bits for any number of threads") {
  for (const Index rows : {10, 1000, 9000}) {
    const Table x = normal<Shape<dyn, dyn>>(Key{1}, Shape<dyn, dyn>{{rows, 37}});
    std::vector<std::vector<float>> found;
    for (const int count : {1, 2, 3}) {
      const Threads scope{count};
      Tape tape;
      const auto row = tape.watch(integers<Row>({37}));
      tape.backward(sum(x * row));
      found.push_back(numbers(tape.gradient(row)));
    }
    CHECK(found[0] == found[1]);
    CHECK(found[0] == found[2]);
  }
}

TEST_CASE("A leaf that appears several times gets the sum of all its places") {
  for (const Index rows : {2, 500, 3000}) {
    const Table x = integers<Table>({rows, 23}), y = integers<Table>({rows, 23}, 3);
    Tape tape;
    const auto row = tape.watch(integers<Row>({23}));
    const auto flat = reshape(row, Shape<1, dyn>{{1, 23}});
    tape.backward(sum(x * flat + y * row));
    CHECK(numbers(tape.gradient(row)) == numbers(sum<0>(x + y)));
  }
}

TEST_CASE("A leaf may be written directly in one place of a loop and summed in another") {
  const Table w = integers<Table>({1, 1000});
  Tape tape;
  const auto row = tape.watch(integers<Row>({1000}));
  const auto flat = reshape(row, Shape<1, dyn>{{1, 1000}});
  tape.backward(sum(w * (row + flat)) + sum(w * (flat - 2 * row)));
  CHECK(numbers(tape.gradient(row)) == numbers(reshape(w, Shape<dyn>{{1000}})));
}

TEST_CASE("A sum is added to a gradient that is there, and not to the tensor that it came from") {
  const auto both = custom_gradient([](const auto& a, const auto& b) { return a + b; },
                                    [](const auto& dy, const auto&, const auto&, const auto&) {
                                      return std::tuple{dy, dy};
                                    });
  for (const Index rows : {2, 3000}) {
    const Table x = integers<Table>({rows, 23});
    Tape tape;
    const auto a = tape.watch(integers<Row>({23})), b = tape.watch(integers<Row>({23}));
    const auto earlier = sum(x * a);  // swept after the others
    const auto between = sum(x * a);
    tape.backward(earlier + between + sum(both(a, b)));
    CHECK(numbers(tape.gradient(a)) == numbers(sum<0>(x) * 2 + 1));
    CHECK(numbers(tape.gradient(b)) == std::vector<float>(23, 1));
  }
}

TEST_CASE("A leaf whose gradient nobody wants is left out of the sums") {
  for (const Index rows : {2, 3000}) {
    const Table x = integers<Table>({rows, 4});
    const auto store = std::make_shared<detail::ParameterStore>();
    store->storage = Buffer<Cpu>{8 * Index{sizeof(float)}};
    store->size = 8;
    Parameter<float, Shape<4>> frozen, trained;
    frozen.place(store, 0);
    trained.place(store, 4);
    for (float& value : frozen.values()) value = 2;
    for (float& value : trained.values()) value = 3;
    std::vector<float> gradient(8, 1);
    const detail::ParameterRange range{4, 8};
    Tape tape{Tape::Inputs::constant};
    tape.differentiate(*store, gradient.data(), {&range, 1});
    const auto input = tape.watch(full<Shape<dyn>>(1.0f, Shape<dyn>{{4}}));
    tape.backward(sum(x * frozen * trained * input));
    std::vector<float> expected = numbers(sum<0>(x) * 2 + 1);
    expected.insert(expected.begin(), 4, 1);
    CHECK(gradient == expected);
  }
}

TEST_CASE("Sums for a leaf of a narrow type are rounded once") {
  const auto x = integers<Table>({300, 5});
  Tape tape;
  const auto row = tape.watch(Tensor<bf16, Shape<dyn>>(cast<bf16>(integers<Row>({5}))));
  tape.backward(sum(x * row));
  CHECK(numbers(cast<float>(tape.gradient(row))) == numbers(cast<float>(cast<bf16>(sum<0>(x)))));
}
