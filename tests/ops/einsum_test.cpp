#include <burrow/autodiff/gradient_check.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/einsum_reference.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

using Matrix = Shape<dyn, dyn>;
using Cube = Shape<dyn, dyn, dyn>;

template <class S>
auto operand_of(int seed, const S& shape) {
  return random<double>(seed, shape);
}

constexpr double tolerated = 1e-12;

}  // namespace

TEST_CASE("einsum of one operand agrees with its definition", "[einsum]") {
  for (const Index n : {0, 1, 5}) {
    CAPTURE(n);
    const auto square = operand_of(1, Matrix{{n, n}});
    CHECK(einsum_error<"ii->i">(square) <= tolerated);
    CHECK(einsum_error<"ii->">(square) <= tolerated);
    CHECK(einsum_error<"ij->ji">(square) <= tolerated);
    CHECK(einsum_error<"ij->j">(transpose(operand_of(2, Matrix{{3, n}}))) <= tolerated);
    CHECK(einsum_error<"iji->ji">(operand_of(3, Cube{{n, 4, n}})) <= tolerated);
    CHECK(einsum_error<"ijk->ki">(operand_of(4, Cube{{2, n, 3}})) <= tolerated);
  }
}

TEST_CASE("einsum of two operands agrees with its definition", "[einsum]") {
  for (const Index n : {0, 1, 5}) {
    CAPTURE(n);
    const auto a = operand_of(5, Cube{{3, n, 4}}), b = operand_of(6, Cube{{3, 4, n}});
    const auto m = operand_of(7, Matrix{{n, 4}}), w = operand_of(8, Matrix{{4, n}});
    CHECK(einsum_error<"ij,jk->ik">(m, w) <= tolerated);
    CHECK(einsum_error<"ij,jk->ki">(m, w) <= tolerated);
    CHECK(einsum_error<"ji,kj->ik">(transpose(m), transpose(w)) <= tolerated);
    CHECK(einsum_error<"bij,bjk->bik">(a, b) <= tolerated);
    CHECK(einsum_error<"bij,bjk->ikb">(a, b) <= tolerated);
    CHECK(einsum_error<"bij,bji->b">(a, b) <= tolerated);
    CHECK(einsum_error<"bij,jk->bik">(a, w) <= tolerated);
    CHECK(einsum_error<"bij,ij->b">(a, m) <= tolerated);
    CHECK(einsum_error<"bij,ji->">(a, w) <= tolerated);
    CHECK(einsum_error<"bij,kl->bk">(a, m) <= tolerated);
    CHECK(einsum_error<"ij,k->kij">(m, operand_of(9, Shape<dyn>{{n}})) <= tolerated);
    CHECK(einsum_error<"bij,ij->jbi">(a, m) <= tolerated);
  }
}

TEST_CASE("einsum merges indices in place or by a copy, and takes diagonals of factors", "[einsum]") {
  const auto x = operand_of(10, Shape<2, 3, 4, 5>{});
  CHECK(einsum_error<"abcd,cde->abe">(x, operand_of(11, Shape<4, 5, 6>{})) <= tolerated);
  CHECK(einsum_error<"abcd,bde->ace">(x, operand_of(12, Shape<3, 5, 6>{})) <= tolerated);
  CHECK(einsum_error<"abcd,abce->abde">(x, operand_of(13, Shape<2, 3, 4, 6>{})) <= tolerated);
  CHECK(einsum_error<"iji,jk->ik">(operand_of(14, Shape<4, 3, 4>{}), operand_of(15, Shape<3, 2>{})) <=
        tolerated);
}

TEST_CASE("einsum of three operands agrees with its definition", "[einsum]") {
  const auto a = operand_of(16, Matrix{{3, 4}}), b = operand_of(17, Matrix{{4, 5}});
  CHECK(einsum_error<"ij,jk,kl->il">(a, b, operand_of(18, Matrix{{5, 2}})) <= tolerated);
  CHECK(einsum_error<"ij,jk,ij->k">(a, b, a) <= tolerated);
  CHECK(einsum_error<"i,j,k->kij">(at(a, 0), at(a, 1), at(b, 2)) <= tolerated);
}

TEST_CASE("einsum keeps static extents and element types", "[einsum]") {
  const auto a = random<bf16>(19, Shape<dyn, 64>{{3, 64}});
  const auto b = random<bf16>(20, Shape<7, dyn>{{7, 64}});
  const auto y = einsum<"ij,kj->ik">(a, b);
  static_assert(std::same_as<decltype(y), const Tensor<bf16, Shape<dyn, 7>>>);
  CHECK(einsum_error<"ij,kj->ik">(a, b) <= ops_test::tolerance<bf16>());
  static_assert(std::same_as<decltype(einsum<"ba,ab">(Tensor<double, Shape<2, 3>>{},
                                                      Tensor<double, Shape<3, dyn>>{Shape<3, dyn>{{3, 2}}})),
                             Tensor<double, Shape<>>>);
  const auto counts = arange<Shape<2, 3>, std::int64_t>();
  const auto products = einsum<"ij,kj">(counts, counts);  // the same as ij,kj->ik
  CHECK((products(0, 1) == 14 && products(1, 1) == 50));
}

TEST_CASE("run-time extents of an index that differ are named, with the line of the call", "[einsum]") {
  const auto a = operand_of(21, Matrix{{2, 3}}), b = operand_of(22, Matrix{{4, 5}});
  CHECK_THROWS_AS((einsum<"ij,jk->ik">(a, b)), ShapeError);
  CHECK_THROWS_WITH(
      (einsum<"ij,jk->ik">(a, b)),
      Contains("einsum: index j has extent 3 in operand 1 and 4 in operand 2 [einsum_test.cpp:"));
  CHECK_THROWS_WITH((einsum<"ii->i">(a)),
                    Contains("einsum: index i has extent 2 in operand 1 and 3 in operand 1"));
}
