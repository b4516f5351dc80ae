#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/matmul/matmul.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"
#include "tests/worse.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

/// How an operand lies in memory.
enum class Lie {
  rows,
  transposed,
  every_other_column,
  inner_block,
  transposed_block,
  reversed,
  swapped_batch
};
constexpr std::initializer_list<Lie> lies{Lie::rows,         Lie::transposed,       Lie::every_other_column,
                                          Lie::inner_block,  Lie::transposed_block, Lie::reversed,
                                          Lie::swapped_batch};

template <int Rank>
struct RunTimeExtents {
  static constexpr auto extents = [] {
    std::array<Index, static_cast<std::size_t>(Rank)> all{};
    all.fill(dyn);
    return all;
  }();
};
template <int Rank>
using Any = ShapeOf<RunTimeExtents<Rank>>;

/// The shape of a tensor that holds an operand of `shape` that lies so.
template <class S>
S around(const S& shape, Lie lie) {
  auto e = shape.values();
  constexpr std::size_t r = S::extents.size();
  if (lie == Lie::transposed || lie == Lie::transposed_block) std::swap(e[r - 1], e[r - 2]);
  if (lie == Lie::every_other_column) e[r - 1] *= 2;
  if (lie == Lie::inner_block || lie == Lie::transposed_block) e[r - 1] += 3;
  if (lie == Lie::swapped_batch && r == 4) std::swap(e[1], e[2]);
  if (lie == Lie::swapped_batch && r == 3) std::swap(e[0], e[1]);
  return S{e};
}

/// An operand that lies so in `x`; all have one type.
template <class X>
auto seen(const X& x, Lie lie) {
  constexpr int rank = shape_of<X>::rank;
  const Index columns = x.shape()[-1], rows = x.shape()[-2];
  switch (lie) {
    case Lie::transposed:
      return transpose(x);
    case Lie::every_other_column:
      return slice<-1>(x, 0, columns / 2, 2);
    case Lie::inner_block:
      return slice<-1>(x, 2, columns - 3, 1);
    case Lie::transposed_block:
      return transpose(slice<-1>(x, 1, columns - 3));
    case Lie::reversed:
      return slice<-1>(x, columns - 1, columns, -1);
    case Lie::swapped_batch:
      if constexpr (rank == 4) return slice<-1>(transpose<1, 2>(x), 0, columns, 1);
      if constexpr (rank == 3) return slice<-1>(transpose<0, 1>(x), 0, columns, 1);
    default:
      return slice<-2>(slice<-1>(x, 0, columns, 1), 0, rows);
  }
}

/// The triple loop over the last two axes, in double.
template <class A, class B>
Tensor<double, Shape<dyn>> reference(const A& a, const B& b) {
  const auto x = Tensor(cast<double>(a));
  const auto y = Tensor(cast<double>(b));
  const Index k = x.shape()[-1], n = y.shape()[-1];
  const bool batched = shape_of<B>::rank > 2;
  Index rows = 1;
  for (std::size_t i = 0; i + 1 < shape_of<A>::extents.size(); ++i) rows *= x.shape().values()[i];
  const Index height = batched ? x.shape()[-2] : rows;
  Tensor<double, Shape<dyn>> result{Shape<dyn>{{rows * n}}};
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < n; ++j) {
      double total = 0;
      for (Index l = 0; l < k; ++l)
        total +=
            x.data()[i * k + l] * y.data()[(height > 0 ? i / height : 0) * (batched ? k * n : 0) + l * n + j];
      result.data()[i * n + j] = total;
    }
  return result;
}

template <int Rank>
Any<Rank> shaped(Index batch, Index rows, Index columns) {
  if constexpr (Rank == 2)
    return Any<2>{{rows, columns}};
  else if constexpr (Rank == 3)
    return Any<3>{{batch, rows, columns}};
  else
    return Any<4>{{2, batch, rows, columns}};
}

/// Every pair of lies for operands of these ranks.
template <class T, int RankA, int RankB>
void agrees(Index batch, Index m, Index k, Index n) {
  const auto a_shape = shaped<RankA>(batch, m, k);
  const auto b_shape = shaped<RankB>(batch, k, n);
  int seed = 1;
  for (const Lie lie_a : lies)
    for (const Lie lie_b : lies) {
      CAPTURE(dtype_name<T>(), RankA, RankB, batch, m, k, n, lie_a, lie_b);
      const auto a = seen(random<T>(++seed, around(a_shape, lie_a)), lie_a);
      const auto b = seen(random<T>(++seed, around(b_shape, lie_b)), lie_b);
      REQUIRE(distance(matmul(a, b), reference(a, b)) <= tolerance<T>());
    }
}

template <class T>
void all_ranks_agree(Index batch, Index m, Index k, Index n) {
  agrees<T, 2, 2>(batch, m, k, n);
  agrees<T, 3, 2>(batch, m, k, n);
  agrees<T, 3, 3>(batch, m, k, n);
  agrees<T, 4, 4>(batch, m, k, n);
}

template <int RankA, int RankB>
double worst_gradient_error(Index batch, Index m, Index k, Index n) {
  double worst = 0;
  int seed = 100;
  for (const Lie lie_a : lies)
    for (const Lie lie_b : lies) {
      const auto a = random<double>(++seed, around(shaped<RankA>(batch, m, k), lie_a));
      const auto b = random<double>(++seed, around(shaped<RankB>(batch, k, n), lie_b));
      const auto product = [&](const auto& x, const auto& y) {
        return matmul(seen(x, lie_a), seen(y, lie_b));
      };
      worst = worse(worst, gradient_error(product, a, b));
    }
  return worst;
}

TEST_CASE("a product is the same over one panel and over many", "[matmul]") {
  // More rows, columns and depth than one block of the kernel has.
  const auto check = []<class C>(C) {
    using Tile = cpu::detail::Tile<C>;
    for (const auto [m, n, k] : {std::array<Index, 3>{3, Tile::block_columns + 5, 4},
                                 std::array<Index, 3>{Tile::block_rows + 7, 5, 3},
                                 std::array<Index, 3>{5, 7, 2 * Tile::depth + 3}}) {
      const auto a = random<C>(21, Shape<dyn, dyn>{{m, k}}), b = random<C>(22, Shape<dyn, dyn>{{k, n}});
      Tensor<C, Shape<dyn, dyn>> c{Shape<dyn, dyn>{{m, n}}};
      cpu::detail::multiply_packed<C>(m, n, k, C(1), cpu::Matrix<const C>{std::as_const(a).data(), k},
                                      cpu::Matrix<const C>{std::as_const(b).data(), n},
                                      cpu::Destination<C>{c.data(), n});
      double worst = 0;
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
          double sum = 0;
          for (Index l = 0; l < k; ++l) sum += static_cast<double>(a(i, l)) * static_cast<double>(b(l, j));
          worst = worse(worst, std::abs(sum - static_cast<double>(std::as_const(c)(i, j))));
        }
      CAPTURE(m, n, k);
      CHECK(worst < (sizeof(C) == 8 ? 1e-12 : 1e-4));
    }
  };
  check(1.0f);
  check(1.0);
}

}  // namespace

TEMPLATE_TEST_CASE("matmul agrees with the triple loop however its operands lie", "[matmul]", double, float,
                   bf16) {
  all_ranks_agree<TestType>(3, 5, 7, 4);
  all_ranks_agree<TestType>(1, 17, 33, 9);
  all_ranks_agree<TestType>(2, 1, 1, 1);
  all_ranks_agree<TestType>(2, 1, 6, 5);
  all_ranks_agree<TestType>(2, 6, 5, 1);
  all_ranks_agree<TestType>(2, 3, 1, 4);
}

TEMPLATE_TEST_CASE("a product without terms is zero, one without elements is empty", "[matmul]", double,
                   float, bf16) {
  all_ranks_agree<TestType>(2, 3, 0, 4);
  all_ranks_agree<TestType>(2, 0, 3, 4);
  all_ranks_agree<TestType>(2, 3, 4, 0);
  all_ranks_agree<TestType>(0, 3, 2, 4);
}

TEST_CASE("matmul of static shapes has the static product's shape", "[matmul]") {
  const auto a = random<float>(1, Shape<2, 3, 5>{});
  const auto b = random<float>(2, Shape<2, 5, 4>{});
  const auto w = random<float>(3, Shape<5, 4>{});
  STATIC_REQUIRE(std::same_as<decltype(matmul(a, b)), Tensor<float, Shape<2, 3, 4>>>);
  STATIC_REQUIRE(std::same_as<decltype(matmul(a, w)), Tensor<float, Shape<2, 3, 4>>>);
  CHECK(distance(matmul(a, b), reference(a, b)) <= 1e-5);
  CHECK(distance(matmul(a * 2.0f + 1.0f, transpose(transpose(w))), reference(a * 2.0f + 1.0f, w)) <= 1e-5);
}

TEST_CASE("large products agree, cut into panels or not", "[matmul]") {
  const auto a = random<float>(4, Shape<dyn, dyn>{{257, 301}}, 0.1);
  const auto b = random<float>(5, Shape<dyn, dyn>{{301, 263}}, 0.1);
  const auto tall = random<float>(6, Shape<dyn, dyn>{{777, 301}}, 0.1);
  CHECK(distance(matmul(a, b), reference(a, b)) <= 1e-5);
  CHECK(distance(matmul(tall, b), reference(tall, b)) <= 1e-5);
  CHECK(distance(matmul(transpose(b), transpose(a)), reference(transpose(b), transpose(a))) <= 1e-5);
  const auto close = [](const auto& x, const auto& y) {
    return distance(x, Tensor(cast<double>(y))) <= 1e-6;
  };
  CHECK(thread_independent([&] { return matmul(a, b); }, close));
  CHECK(thread_independent([&] { return matmul(transpose(b), transpose(tall)); }, close));
  const auto same = [](const auto& x, const auto& y) { return same_bits(x, y); };
  const auto items = random<float>(7, Shape<dyn, 3, 4>{{50, 3, 4}});
  const auto weights = random<float>(8, Shape<dyn, 4, 5>{{50, 4, 5}});
  CHECK(thread_independent([&] { return matmul(items, weights); }, same));
}

TEST_CASE("the gradient of matmul agrees with differences however its operands lie", "[matmul]") {
  CHECK(worst_gradient_error<2, 2>(1, 3, 4, 2) <= 1e-8);
  CHECK(worst_gradient_error<3, 2>(2, 2, 3, 2) <= 1e-8);
  CHECK(worst_gradient_error<3, 3>(1, 3, 2, 3) <= 1e-8);
  CHECK(worst_gradient_error<3, 3>(2, 1, 2, 3) <= 1e-8);
  CHECK(worst_gradient_error<4, 4>(2, 2, 3, 1) <= 1e-8);
}

TEST_CASE("the gradient of matmul reaches both uses of one operand", "[matmul]") {
  const auto x = random<double>(9, Shape<dyn, dyn>{{4, 3}});
  CHECK_NOTHROW(check_gradient([](const auto& a) { return matmul(a, transpose(a)); }, x));
  CHECK_NOTHROW(check_gradient([](const auto& a) { return matmul(transpose(a), a * a); }, x));
  CHECK_NOTHROW(
      check_gradient([](const auto& a) { return matmul(slice<0>(a, 0, 3), slice<0>(a, 1, 3)); }, x));
  const auto square = random<double>(10, Shape<3, 3>{});
  CHECK_NOTHROW(check_gradient([](const auto& a) { return matmul(matmul(a, a), a); }, square));
}

TEST_CASE("gradients of empty products are zero", "[matmul]") {
  const auto a = random<double>(11, Shape<dyn, dyn>{{3, 4}});
  const Tensor<double, Shape<dyn, dyn>> b{Shape<dyn, dyn>{{4, 0}}};
  Tape tape;
  const auto x = tape.watch(a);
  tape.backward(sum(matmul(x, b)) + sum(matmul(x, b)));
  const auto gradient = tape.gradient(x);
  for (const double g : gradient.values()) CHECK(g == 0.0);
  Tape batches;
  const auto none = batches.watch(Tensor<double, Shape<dyn, 3, 0>>{Shape<dyn, 3, 0>{{2, 3, 0}}});
  const auto rows = batches.watch(Tensor<double, Shape<dyn, 0, 2>>{Shape<dyn, 0, 2>{{2, 0, 2}}});
  batches.backward(sum(matmul(none, rows)));
  CHECK(batches.gradient(none).size() == 0);
}

TEST_CASE("bf16 gradients are those of double, rounded", "[matmul]") {
  const auto a = random<bf16>(12, Shape<9, 40>{});
  const auto b = random<bf16>(13, Shape<40, 6>{});
  const auto gradients = [](const auto& left, const auto& right) {
    Tape tape;
    const auto x = tape.watch(left);
    const auto y = tape.watch(right);
    tape.backward(sum(matmul(x, y)));
    return std::pair{tape.gradient(x), tape.gradient(y)};
  };
  const auto narrow = gradients(a, b);
  const auto wide = gradients(Tensor(cast<double>(a)), Tensor(cast<double>(b)));
  CHECK(distance(narrow.first, wide.first) <= 1e-2);
  CHECK(distance(narrow.second, wide.second) <= 1e-2);
}

TEST_CASE("run-time extents that do not meet are an error that names both shapes", "[matmul]") {
  const auto a = random<float>(14, Shape<dyn, dyn>{{2, 3}}), b = random<float>(15, Shape<dyn, dyn>{{4, 5}});
  CHECK_THROWS_AS(matmul(a, b), ShapeError);
  CHECK_THROWS_WITH(matmul(a, b), Contains("matmul: extents differ: Shape<2, 3> x Shape<4, 5>") &&
                                      Contains("matmul_test.cpp:"));
  const auto two = random<float>(16, Shape<dyn, 3, 4>{{2, 3, 4}});
  const auto three = random<float>(17, Shape<dyn, 4, 5>{{3, 4, 5}});
  CHECK_THROWS_WITH(matmul(two, three), Contains("Shape<2, 3, 4> x Shape<3, 4, 5>"));
}

TEST_CASE("the library behind float products agrees with Eigen", "[matmul]") {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Index m = 37, k = 53, n = 29;
  for (const bool left : {false, true})
    for (const bool right : {false, true})
      for (const bool accumulate : {false, true}) {
        CAPTURE(cpu::matmul_backend<float>(), left, right, accumulate);
        const auto fill = [](Index rows, Index columns, int seed) {
          const auto values = random<float>(seed, Shape<dyn, dyn>{{rows, columns}});
          return Matrix(Eigen::Map<const Matrix>(values.data(), rows, columns));
        };
        const Matrix a = left ? fill(k, m, 18) : fill(m, k, 18), b = right ? fill(n, k, 19) : fill(k, n, 19);
        Matrix c = fill(m, n, 20);
        const Matrix product = (left ? Matrix(a.transpose()) : a) * (right ? Matrix(b.transpose()) : b);
        const Matrix expected = 0.5f * product + (accumulate ? c : Matrix::Zero(m, n));
        cpu::multiply<float>(m, n, k, 0.5f, {a.data(), a.cols(), left}, {b.data(), b.cols(), right},
                             accumulate, {c.data(), n});
        CHECK((c - expected).cwiseAbs().maxCoeff() <= 1e-4f);
      }
}
