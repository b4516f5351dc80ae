#include <cstring>

#include <burrow/tensor/create.hpp>
#include <burrow/tensor/indexing.hpp>
#include <burrow/tensor/part.hpp>
#include <burrow/tensor/triangle.hpp>
#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;
using Catch::Matchers::Contains;

TEST_CASE("Parts of all kinds are written in place") {
  auto x = zeros<Shape<4, 21>>();
  const float* const place = std::as_const(x).data();
  const auto source = sample<float>(Shape<21>{}, 1);
  part(x, 1) = source;
  part(x, range<2, omitted>(), range(20, omitted, -1)) = source * 2;
  part(x, whole_axis, 5) += 100;
  part(x, range_of<1>(3), range<0, 4>()) *= 0.5f;
  part(x, 0, -1) = 7;
  CHECK(std::as_const(x).data() == place);
  for_each_element(x.shape(), [&](const auto& i, Index) {
    float expected = i[0] == 0 ? 0.0f : i[0] == 1 ? source(i[1]) : 2 * source(20 - i[1]);
    if (i[1] == 5) expected += 100;
    if (i[0] == 3 && i[1] < 4) expected *= 0.5f;
    if (i[0] == 0 && i[1] == 20) expected = 7;
    CHECK(std::as_const(x)(i[0], i[1]) == expected);
  });
}

TEST_CASE("Who shares the elements keeps what they had, also the expression that is written") {
  auto x = arange<Shape<6>>();
  const auto before = x;
  const auto head = view(x, range<0, 2>());
  part(x, range<1, omitted>()) = view(x, range<0, -1>());
  CHECK(equal(x, Tensor<float, Shape<6>>{0, 0, 1, 2, 3, 4}));
  part(x, range(omitted, omitted, -1)) -= x;
  CHECK(equal(x, Tensor<float, Shape<6>>{0 - 4, 0 - 3, 1 - 2, 2 - 1, 3 - 0, 4 - 0}));
  CHECK(equal(before, arange<Shape<6>>()));
  CHECK(head(1) == 1);
}

TEST_CASE("What does not fit a part is named") {
  auto x = zeros<Shape<3, dyn>>(Shape<3, dyn>{{3, 4}});
  CHECK_THROWS_WITH(part(x, 0) = zeros<Shape<dyn>>(Shape<dyn>{{5}}),
                    Contains("part: Shape<5> does not repeat over Shape<4>"));
  CHECK_THROWS_WITH(part(x, 3) = 1,
                    Contains("part: index 3 is not in axis 0 of Shape<3, 4> [part_test.cpp:"));
}

TEST_CASE("Results that are written past the caches have the bits of others, and nothing beside them") {
  const Index rows = 4099, columns = 2051;  // 33.6 MB; rows are no multiple of a packet
  const auto x = normal(Key{1}, Shape<dyn, dyn>{{rows, columns}});
  const auto formula = [](const auto& of) { return of * 2.0f + 0.1f; };
  const Tensor all(formula(x));
  auto framed = zeros<Shape<dyn, dyn>>(Shape<dyn, dyn>{{rows, columns + 3}});
  part(framed, whole_axis, range(1, -2)) = formula(x);
  bool same = true, untouched = true;
  for (Index r = 0; r < rows; ++r) {
    const Tensor row(formula(view(x, r)));
    const float* const in_frame = std::as_const(framed).data() + r * (columns + 3);
    const auto bytes = static_cast<std::size_t>(columns) * sizeof(float);
    same = same && std::memcmp(all.data() + r * columns, row.data(), bytes) == 0 &&
           std::memcmp(in_frame + 1, row.data(), bytes) == 0;
    untouched = untouched && in_frame[0] == 0 && in_frame[columns + 1] == 0 && in_frame[columns + 2] == 0;
  }
  CHECK(same);
  CHECK(untouched);
}

TEST_CASE("Masks, integers and bf16 are written as their type") {
  Tensor<bool, Shape<3>> mask{false, false, false};
  part(mask, range<1, 3>()) = Tensor<float, Shape<2>>{1, -1} > 0;
  CHECK(equal(mask, Tensor<bool, Shape<3>>{false, true, false}));
  auto counts = zeros<Shape<2, 3>, std::int64_t>();
  part(counts, whole_axis, 1) = arange(5, 7);
  CHECK(equal(counts, Tensor<std::int64_t, Shape<2, 3>>{0, 5, 0, 0, 6, 0}));
  auto narrow = zeros<Shape<4>, bf16>();
  part(narrow, range(0, 4, 2)) = arange<Shape<2>>() + 0.5f;
  CHECK(static_cast<float>(std::as_const(narrow)(2)) == 1.5f);
}

TEST_CASE("Sequences and shapes like those of others") {
  CHECK(equal(arange(0, 5, 2), Tensor<std::int32_t, Shape<dyn>>{Tensor<std::int32_t, Shape<3>>{0, 2, 4}}));
  CHECK(arange(5, 0, -1).size() == 5);
  CHECK(arange(5, 0).size() == 0);
  const auto tenths = arange<float>(0.0, 1.0, 0.1);
  static_assert(std::same_as<element_of<decltype(tenths)>, float>);
  CHECK((tenths.size() == 10 && tenths(9) == 0.9f));
  CHECK_THROWS_AS(arange(0, 1, 0), ValueError);
  CHECK(equal(linspace<5>(0, 1), Tensor<float, Shape<5>>{0, 0.25, 0.5, 0.75, 1}));
  CHECK(linspace<double>(1, 1.1, 7)(6) == 1.1);
  CHECK((linspace<1>(3, 4)(0) == 3 && linspace(0, 1, 0).size() == 0));
  const auto open = sample<double>(Shape<dyn, 2>{{3, 2}});
  CHECK(equal(full_like(open, 2.0), full<Shape<dyn, 2>>(2.0, open.shape())));
  CHECK((equal(zeros_like(open * 1), Tensor(open * 0)) && equal(ones_like(open), full_like(open, 1))));
}

TEST_CASE("Triangles keep what is on one side of a diagonal") {
  const auto x = sample<float>(Shape<2, 3, 4>{}, 1);
  for (const Index k : {-4, -1, 0, 2, 5}) {
    const Tensor lower = tril(x, k), upper = triu(x, k);
    for_each_element(x.shape(), [&](const auto& i, Index) {
      const float value = x(i[0], i[1], i[2]);
      CHECK(lower(i[0], i[1], i[2]) == (i[2] - i[1] <= k ? value : 0));
      CHECK(upper(i[0], i[1], i[2]) == (i[2] - i[1] >= k ? value : 0));
    });
  }
  CHECK(equal(eye<Shape<2, 3>>(), Tensor<float, Shape<2, 3>>{1, 0, 0, 0, 1, 0}));
  CHECK(lower_triangle(Shape<dyn, 2>{{3, 2}})(2, 1));
}
