#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/embedding/embedding.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

/// The gradient of a table by its definition, one position after the other.
template <class S, class S2>
Tensor<double, Shape<dyn, dyn>> reference_gradient(const Tensor<std::int32_t, S>& ids,
                                                   const Tensor<double, S2>& dy, Index vocabulary) {
  const Index width = row_width(dy.shape());
  auto gradient = zeros<Shape<dyn, dyn>, double>(Shape<dyn, dyn>{{vocabulary, width}});
  for (Index r = 0; r < ids.size(); ++r)
    for (Index i = 0; i < width; ++i) gradient(ids.data()[r], i) += dy.data()[r * width + i];
  return gradient;
}

template <class T, class S, class S2>
void reads_rows(const S& table_shape, const S2& ids_shape) {
  CAPTURE(table_shape.text(), ids_shape.text());
  const auto table = random<T>(1, table_shape);
  const auto ids = random_ids(2, ids_shape, table_shape[0]);
  const auto y = embedding(table, ids);
  const Index width = table_shape[1];
  STATIC_REQUIRE(decltype(y)::shape_type::rank == S2::rank + 1);
  REQUIRE(y.shape()[-1] == width);
  REQUIRE(y.size() == ids.size() * width);
  for (Index r = 0; r < ids.size(); ++r)
    CHECK(std::memcmp(y.data() + r * width, table.data() + ids.data()[r] * width,
                      static_cast<std::size_t>(width) * sizeof(T)) == 0);
}

}  // namespace

TEMPLATE_TEST_CASE("embedding reads the rows that ids name", "[embedding]", double, float, bf16) {
  reads_rows<TestType>(Shape<1, 1>{}, Shape<1>{});
  reads_rows<TestType>(Shape<5, 8>{}, Shape<>{});
  reads_rows<TestType>(Shape<5, 13>{}, Shape<2, 3>{});
  reads_rows<TestType>(Shape<dyn, dyn>{{7, 33}}, Shape<dyn, 2, 4>{{3, 2, 4}});
}

TEST_CASE("embedding keeps static extents", "[embedding]") {
  using Y = decltype(embedding(Tensor<float, Shape<dyn, 512>>{Shape<dyn, 512>{}},
                               Tensor<std::int32_t, Shape<dyn, 64>>{Shape<dyn, 64>{}}));
  STATIC_REQUIRE(std::same_as<Y, Tensor<float, Shape<dyn, 64, 512>>>);
}

TEST_CASE("embedding converts the rows it reads", "[embedding]") {
  const auto table = random<float>(3, Shape<9, 21>{});
  const auto ids = random_ids(4, Shape<12>{}, 9);
  const auto y = embedding<bf16>(table, ids);
  STATIC_REQUIRE(std::same_as<decltype(y), const Tensor<bf16, Shape<12, 21>>>);
  for (Index r = 0; r < 12; ++r)
    for (Index i = 0; i < 21; ++i) CHECK(y(r, i).bits() == bf16(table(ids(r), i)).bits());
}

TEST_CASE("the gradient of embedding agrees with differences", "[embedding]") {
  for (const Index width : widths) {
    if (width > 40) continue;
    const auto table = random<double>(5, Shape<dyn, dyn>{{6, width}});
    const auto ids = random_ids(6, Shape<2, 7>{}, 6);
    CHECK(gradient_error([](const auto& t, const auto& i) { return embedding(t, i); }, table, ids) <= 1e-8);
  }
  const auto table = random<double>(7, Shape<4, 5>{});
  const auto ids = random_ids(8, Shape<3>{}, 4);
  CHECK(gradient_error([&](const auto& t) { return sum(embedding(t, ids)) + sum(t * t); }, table) <= 1e-8);
  CHECK(gradient_error([&](const auto& t) { return embedding(t * t, ids) * embedding(t, ids); }, table) <=
        1e-8);
  CHECK(gradient_error([&](const auto& t) { return embedding(transpose(t), ids); }, table) <= 1e-8);
}

TEST_CASE("a repeated id collects all its rows, whatever table and gradient are made of", "[embedding]") {
  const Index vocabulary = 50, width = 67, count = 2000;
  auto ids = random_ids(9, Shape<dyn>{{count}}, vocabulary);
  for (Index i = 0; i < count; i += 2) ids.data()[i] = 3;
  const auto dy = random<bf16>(10, Shape<dyn, dyn>{{count, width}});
  const auto expected = reference_gradient(ids, Tensor(cast<double>(dy)), vocabulary);
  const auto gradient = [&](const auto& table) {
    Tape tape;
    const auto watched = tape.watch(table);
    tape.backward(embedding<bf16>(watched, ids), dy);
    return tape.gradient(watched);
  };
  const Shape<dyn, dyn> shape{{vocabulary, width}};
  CHECK(distance(gradient(random<double>(11, shape)), expected) <= 1e-12);
  CHECK(distance(gradient(random<float>(11, shape)), expected) <= 1e-4);
  CHECK(distance(gradient(random<bf16>(11, shape)), expected) <= 1e-2);  // summed in fp32, rounded once
}

TEST_CASE("a parameter's table collects its gradient through traced ids", "[embedding]") {
  auto store = std::make_shared<detail::ParameterStore>();
  store->storage = Buffer<Cpu>{20 * Index{sizeof(float)}};
  store->size = 20;
  Parameter<float, Shape<5, 3>> table;
  table.place(store, 4);
  std::fill_n(table.data(), 15, 2.0f);
  std::array<float, 20> collected;
  collected.fill(100);
  const Tensor<std::int32_t, Shape<2, 2>> ids{1, 4, 1, 0};
  {
    Tape tape{Tape::Inputs::constant};
    tape.differentiate(*store, collected.data());
    tape.backward(sum(embedding(table, tape.watch(ids))));
    CHECK_THROWS_WITH(embedding(table, ids), Contains("gradient would be lost"));
  }
  const std::array<float, 5> times{1, 2, 0, 0, 1};
  for (std::size_t i = 0; i < 20; ++i)
    CHECK(collected[i] == (i >= 4 && i < 19 ? 100 + times[(i - 4) / 3] : 100));
}

TEST_CASE("an id outside of the table is an error that names it", "[embedding]") {
  const auto table = random<float>(12, Shape<7, 4>{});
  const Tensor<std::int32_t, Shape<2, 3>> high{0, 1, 2, 3, 4, 7};
  const Tensor<std::int32_t, Shape<2, 3>> low{0, -1, 2, 3, 4, 9};
  CHECK_THROWS_AS(embedding(table, high), ValueError);
  CHECK_THROWS_WITH(embedding(table, high),
                    Contains("embedding: id 7 at position (1, 2) of Shape<2, 3> is not in [0, 7)") &&
                        Contains("embedding_test.cpp:"));
  CHECK_THROWS_WITH(embedding(table, low), Contains("id -1 at position (0, 1)"));
}

TEST_CASE("the gradient of embedding does not depend on the number of threads", "[embedding]") {
  const auto table = random<float>(13, Shape<dyn, dyn>{{300, 129}});
  auto ids = random_ids(14, Shape<dyn>{{3000}}, 300);
  for (Index i = 0; i < 3000; ++i)
    if (i % 5 < 2) ids.data()[i] = i % 5 == 0 ? 0 : 299;
  const auto run = [&] {
    Tape tape;
    const auto watched = tape.watch(table);
    const auto y = embedding(watched, ids);
    tape.backward(sum(y * y * y));
    return std::pair{y.value(), tape.gradient(watched)};
  };
  CHECK(thread_independent(run, [](const auto& a, const auto& b) {
    return same_bits(a.first, b.first) && same_bits(a.second, b.second);
  }));
  const auto y = embedding(table, ids);
  const auto expected = reference_gradient(ids, Tensor(cast<double>(3.0f * y * y)), 300);
  CHECK(distance(run().second, expected) <= 1e-4);
}
