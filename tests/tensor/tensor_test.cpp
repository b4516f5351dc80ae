#include <burrow/core/parallel.hpp>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/tensor/reference.hpp"

#include "tests/threads.hpp"

using namespace burrow;
using namespace reference;

TEST_CASE("Construction: row-major elements, spans, expressions, other element types") {
  const Tensor<float, Shape<2, 3>> x{1, 2, 3, 4, 5, 6};
  CHECK((x(0, 0) == 1 && x(0, 2) == 3 && x(1, 0) == 4 && x(1, 2) == 6));
  const std::vector<double> values{1, 2, 3, 4};
  const Tensor<double, Shape<dyn, 2>> y{Shape<dyn, 2>{{2, 2}}, values};
  CHECK(y(1, 0) == 3);
  const Tensor<std::int32_t, Shape<2, dyn>> z = x * 1.5f;
  CHECK((z.shape()[1] == 3 && z(0, 0) == 1 && z(1, 2) == 9));
  CHECK(Tensor<float, Shape<>>{2.5f}() == 2.5f);
  CHECK(Tensor<float, Shape<3, 0>>{}.size() == 0);
}

TEST_CASE("zeros, ones, full and arange") {
  CHECK(equal(zeros<Shape<2>>(), Tensor<float, Shape<2>>{0, 0}));
  CHECK(equal(ones<Shape<2>, std::int64_t>(), Tensor<std::int64_t, Shape<2>>{1, 1}));
  CHECK(equal(full<Shape<2, 1>, double>(3.5), Tensor<double, Shape<2, 1>>{3.5, 3.5}));
  CHECK(equal(arange<Shape<2, 2>, std::int32_t>(), Tensor<std::int32_t, Shape<2, 2>>{0, 1, 2, 3}));
  CHECK(arange(Shape<dyn>{{7}})(6) == 6);
}

TEST_CASE("A random element depends on the key and its place only") {
  const Key key{7};
  const auto small = normal<Shape<10>>(key);
  const auto large = normal(key, Shape<dyn>{{20000}});
  const auto table = uniform<Shape<100, 100>>(key);
  for (Index i = 0; i < 10; ++i) CHECK(small(i) == large(i));
  for (const Index i : {0, 77, 4095, 4096, 9999}) {
    CHECK(large(i) == key.normal(static_cast<std::uint64_t>(i)));
    CHECK(table(i / 100, i % 100) == key.uniform(static_cast<std::uint64_t>(i)));
  }
}

TEST_CASE("Copies are values") {
  Tensor<float, Shape<3>> x{1, 2, 3};
  auto copy = x;
  CHECK(std::as_const(copy).data() == std::as_const(x).data());
  copy(1) = 20;
  CHECK((x(1) == 2 && copy(1) == 20 && copy(2) == 3));
  const auto moved = std::move(copy);
  CHECK(moved(1) == 20);
  x = moved;
  x.values()[0] = 10;
  CHECK((x(0) == 10 && moved(0) == 1));
}

TEST_CASE("A tensor that is alone writes in place") {
  Tensor<float, Shape<3>> x{1, 2, 3};
  const float* const before = x.data();
  x(0) = 5;
  CHECK(x.data() == before);
}

TEST_CASE("An expression keeps the elements it was made with, and outlives their tensor") {
  Tensor<float, Shape<4>> x{1, 2, 3, 4};
  const auto doubled = x * 2;
  x(0) = 100;
  CHECK(Tensor(doubled)(0) == 2);
  const auto outliving = [] {
    const auto local = arange<Shape<3>>() + 1;
    const Tensor<float, Shape<1>> scale{10};
    return exp(local * 0) + local * scale;
  }();
  const Tensor<float, Shape<1000>> reuse_of_freed_blocks = ones<Shape<1000>>() * -1;
  CHECK(equal(Tensor(outliving), Tensor<float, Shape<3>>{11, 21, 31}));
  const auto view = [] { return transpose(slice<0, 2>(arange<Shape<3, 2>>(), 1)); }();
  CHECK(Tensor(view)(1, 0) == 3);
}

TEST_CASE("A tensor may be assigned an expression of itself") {
  auto x = sample<float>(Shape<5, 5>{}, 1);
  const auto old = Tensor(x * 1);
  x = x + transpose(x);
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) CHECK(x(i, j) == old(i, j) + old(j, i));
  x = at(x, 2) * ones<Shape<5, 1>>();
  CHECK(x(4, 1) == old(2, 1) + old(1, 2));
  const auto shared = x;
  x += shared;
  x -= at(shared, 0) * 3;
  CHECK(equal(x, Tensor(-shared)));
}

TEST_CASE("materialize hands dense values on without a copy") {
  const auto x = sample<float>(Shape<4, 3>{}, 1);
  const auto itself = materialize(x);
  CHECK(itself.data() == x.data());
  const auto handed_on = materialize(x.leaf());
  CHECK(handed_on.data() == x.data());
  CHECK(materialize(transpose(x))(2, 1) == x(1, 2));
}

TEST_CASE("The same element has the same bits wherever it lies") {
  constexpr auto chain = [](const auto& x) {
    return gelu(x) + silu(x * 3) / (1 + exp(x)) - tanh(x) * log1p(x * x);
  };
  for (const float value : {0.37f, -1.9f, 5.1f}) {
    const float expected = Tensor(chain(full<Shape<1>>(value)))(0);
    Index different = 0;
    for (Index size = 1; size <= 40; ++size) {
      const Tensor<float, Shape<dyn>> y = chain(full(value, Shape<dyn>{{size}}));
      for (const float element : y.values()) different += element != expected;
    }
    const auto wide = full<Shape<7, 33>>(value);
    const Tensor column = chain(transpose(wide));
    const Tensor inner = chain(slice<1, 9>(wide, 3, 9, 2));
    for (const float element : column.values()) different += element != expected;
    for (const float element : inner.values()) different += element != expected;
    CHECK(different == 0);
  }
}

TEST_CASE("The number of threads does not change a bit") {
  const Threads scope{1};
  const auto x = normal<Shape<301, 1003>>(Key{1});
  const auto row = normal<Shape<1003>>(Key{2});
  const auto evaluated = [&](int count) {
    set_threads(count);
    return std::pair{Tensor(gelu(x * row) - exp(x)), Tensor(tanh(reshape<Shape<301 * 1003>>(x)))};
  };
  const auto first = evaluated(1);
  for (const int count : {2, 3, 4}) {
    const auto again = evaluated(count);
    CHECK(std::memcmp(first.first.values().data(), again.first.values().data(),
                      first.first.values().size_bytes()) == 0);
    CHECK(std::memcmp(first.second.values().data(), again.second.values().data(),
                      first.second.values().size_bytes()) == 0);
  }
}

TEST_CASE("A loop that is warm asks the system for nothing") {
  const auto x = sample<float>(Shape<100, 100>{}, 1);
  const auto step = [&] { return Tensor(exp(x) * 2 + transpose(x)); };
  { const auto warm = step(); }
  const auto before = memory_statistics().system_allocations;
  for (int i = 0; i < 10; ++i) step();
  CHECK(memory_statistics().system_allocations == before);
}

TEST_CASE("Mismatches that are known at run time only are named with the user's line") {
  const Tensor<float, Shape<dyn, 3>> four{Shape<dyn, 3>{{4, 3}}};
  const Tensor<float, Shape<dyn, 3>> five{Shape<dyn, 3>{{5, 3}}};
  CHECK_THROWS_WITH(four + five, Catch::StartsWith("operator+: Shape<4, 3> and Shape<5, 3> do not broadcast "
                                                   "(only a static 1 does) [tensor_test.cpp:"));
  CHECK_THROWS_WITH(where(four > 0, five, 0), Catch::StartsWith("where: Shape<4, 3> and Shape<5, 3> do not"));
  CHECK_THROWS_WITH((Tensor<float, Shape<5, 3>>(four, {"a/user.cpp", 7})),
                    "Shape: Shape<4, 3> does not fit Shape<5, 3> [user.cpp:7]");
  const std::vector<float> values(7);
  CHECK_THROWS_WITH((Tensor<float, Shape<2, 3>>(Shape<2, 3>{}, values, {"user.cpp", 8})),
                    "Tensor: 7 elements do not fill Shape<2, 3> [user.cpp:8]");
  CHECK_THROWS_WITH(four.item({"user.cpp", 9}), "item: Shape<4, 3> has not exactly one element [user.cpp:9]");
  CHECK(Tensor<float, Shape<1, 1>>{4}.item() == 4);
}
