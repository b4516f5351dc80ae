#include <burrow/core/key.hpp>
#include <burrow/ops/matmul/cpu.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "tests/threads.hpp"

using namespace burrow;
using cpu::Destination;
using cpu::Matrix;

namespace {

/// A matrix of m x n somewhere in memory, with room between its rows.
template <class T>
struct Placed {
  Placed(int seed, Index m, Index n, bool is_transposed, Index gap)
      : rows{m}, columns{n}, transposed{is_transposed}, stride{(is_transposed ? m : n) + gap} {
    const Key key{static_cast<std::uint64_t>(seed)};
    // The last line ends with its last element: what lies behind belongs to nobody.
    const Index lines = transposed ? n : m, length = transposed ? m : n;
    const Index size = lines > 0 ? (lines - 1) * stride + length : 0;
    for (Index i = 0; i < size; ++i)
      values.push_back(static_cast<T>(key.normal(static_cast<std::uint64_t>(i))));
  }
  Matrix<const T> matrix() const { return {values.data(), stride, transposed}; }
  T operator()(Index i, Index j) const {
    return values[static_cast<std::size_t>(transposed ? j * stride + i : i * stride + j)];
  }

  Index rows, columns;
  bool transposed;
  Index stride;
  std::vector<T> values;
};

enum class Addend { nothing, itself, row };

template <class T>
double allowed(Index k) {
  const double unit = std::same_as<T, double> ? 1e-15 : std::same_as<T, float> ? 1e-6 : 4e-3;
  return unit * (4 + std::sqrt(static_cast<double>(k)));
}

/// The worst error of a product of T beside the triple loop in double.
template <class T, class A, class B, class O>
double worst_error(Index m, Index n, Index k, bool left, bool right, Addend kind, Index gap) {
  const Placed<A> a{1, m, k, left, gap};
  const Placed<B> b{2, k, n, right, gap};
  const Placed<O> before{3, m, n, false, gap};
  Placed<O> c = before;
  const Placed<O> row{4, 1, n, false, 0};
  Destination<O> to{c.values.data(), c.stride};
  if (kind == Addend::itself) to = {to.data, to.stride, to.data, to.stride};
  if (kind == Addend::row) to = {to.data, to.stride, row.values.data(), 0};
  cpu::multiply<T>(m, n, k, compute_type<T>(0.5), a.matrix(), b.matrix(), to);
  double worst = 0;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      double sum = 0;
      for (Index l = 0; l < k; ++l)
        sum += static_cast<double>(static_cast<T>(a(i, l))) * static_cast<double>(static_cast<T>(b(l, j)));
      sum *= 0.5;
      if (kind == Addend::itself) sum += static_cast<double>(before(i, j));
      if (kind == Addend::row) sum += static_cast<double>(row(0, j));
      const double error = std::abs(static_cast<double>(c(i, j)) - sum) / (1 + std::abs(sum));
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
  // The gaps stay as they were.
  for (Index i = 0; i + 1 < m; ++i)
    for (Index j = n; j < c.stride; ++j)
      if (static_cast<double>(c(i, j)) != static_cast<double>(before(i, j))) return INFINITY;
  return worst;
}

template <class T, class A = T, class B = T, class O = T>
void agrees(std::initializer_list<std::array<Index, 3>> shapes) {
  for (const auto [m, n, k] : shapes)
    for (const bool left : {false, true})
      for (const bool right : {false, true})
        for (const Addend addend : {Addend::nothing, Addend::itself, Addend::row})
          for (const Index gap : {0, 5}) {
            CAPTURE(m, n, k, left, right, static_cast<int>(addend), gap, cpu::matmul_backend<T>());
            REQUIRE(worst_error<T, A, B, O>(m, n, k, left, right, addend, gap) <= allowed<O>(k));
          }
}

constexpr std::initializer_list<std::array<Index, 3>> odd_shapes{
    {1, 1, 1},   {3, 5, 0},    {0, 4, 3},   {13, 33, 1}, {12, 32, 2}, {25, 65, 31},
    {7, 40, 33}, {11, 31, 65}, {40, 7, 64}, {1, 45, 19}, {45, 1, 19}, {24, 64, 34}};

}  // namespace

TEMPLATE_TEST_CASE("products agree with the triple loop for every extent, transposition and addend",
                   "[matmul]", double, float, bf16, half) {
  agrees<TestType>(odd_shapes);
}

TEST_CASE("products of integers and of bool's kind need no vectors", "[matmul]") {
  const std::int32_t a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, 2, 1, 0, 3};
  std::int32_t c[4] = {100, 100, 100, 100};
  cpu::multiply<std::int32_t>(2, 2, 3, 1, Matrix<const std::int32_t>{a, 3}, Matrix<const std::int32_t>{b, 2},
                              Destination<std::int32_t>{c, 2, c, 2});
  CHECK(c[0] == 105);
  CHECK(c[1] == 111);
  CHECK(c[2] == 114);
  CHECK(c[3] == 123);
}

TEST_CASE("bf16 products take and give fp32", "[matmul]") {
  agrees<bf16, bf16, bf16, float>({{13, 33, 65}, {1, 45, 19}, {45, 1, 19}, {3, 5, 0}});
  agrees<bf16, bf16, float, bf16>({{13, 33, 65}, {1, 45, 19}, {45, 1, 19}});
  agrees<bf16, float, bf16, float>({{13, 33, 65}, {1, 45, 19}, {45, 1, 19}});
}

TEST_CASE("products longer than the kernel's blocks agree", "[matmul]") {
  using Wide = cpu::detail::Tile<float>;
  const Index depth = Wide::depth * cpu::detail::elements_per_word<bf16>;
  agrees<float>({{Wide::block_rows + 7, 5, 3}, {3, Wide::block_columns + 5, 2}, {5, 7, 2 * Wide::depth + 3}});
  agrees<bf16>({{Wide::block_rows + 7, Wide::block_columns + 5, 2}, {14, 35, 2 * depth + 3}});
}

TEST_CASE("products of several blocks of tiles agree", "[matmul]") {
  agrees<bf16>({{33, 70, 1100}, {32, 32, 512}, {65, 1060, 40}, {31, 17, 1030}});
  agrees<bf16, bf16, float, float>({{47, 530, 545}});
  agrees<bf16, float, bf16, bf16>({{64, 40, 1057}});
}

#ifdef BURROW_WITH_ONEDNN
TEST_CASE("oneDNN has fast ways for the products of a layer", "[matmul]") {
  using namespace cpu::detail;
  for (const auto type : {dnnl_f32, dnnl_bf16})
    for (const bool a : {false, true})
      for (const bool b : {false, true})
        for (const auto addend : {OnednnAddend::nothing, OnednnAddend::itself, OnednnAddend::row}) {
          if (type == dnnl_bf16 && !onednn_multiplies<bf16>()) continue;
          CAPTURE(static_cast<int>(type), a, b, static_cast<int>(addend));
          CHECK(OnednnPrimitive({64, 128, 96, a ? 64 : 96, b ? 96 : 128, 128, a, b, type, type, addend, 1})
                    .fast());
        }
}
#endif

TEST_CASE("products of bf16 agree without the matrix unit", "[matmul]") {
  const cpu::WithoutAmx scope;
  agrees<bf16>(odd_shapes);
  agrees<bf16, bf16, float, float>({{13, 33, 65}});
  agrees<bf16, float, bf16, float>({{13, 33, 65}});
}

TEST_CASE("vectors times matrices of several parts and blocks agree", "[matmul]") {
  const Threads scope{3};
  agrees<float>({{1, 2100, 523}, {4100, 1, 67}});
  agrees<bf16>({{1, 4131, 139}, {4131, 1, 139}});
}

TEST_CASE("sums of bf16 are not rounded before the end", "[matmul]") {
  // 1 + 4096 terms of 2^-12: rounded to bf16 along the way, the small ones would vanish.
  const Index k = 4097;
  std::vector<bf16> a(static_cast<std::size_t>(k), bf16(1.0f)), b(static_cast<std::size_t>(2 * k));
  for (Index l = 0; l < k; ++l)
    for (Index j = 0; j < 2; ++j) b[static_cast<std::size_t>(2 * l + j)] = bf16(l == 0 ? 1.0f : 0x1p-12f);
  a.resize(static_cast<std::size_t>(2 * k), bf16(1.0f));
  bf16 c[4];
  cpu::multiply<bf16>(2, 2, k, 1, Matrix<const bf16>{a.data(), k}, Matrix<const bf16>{b.data(), 2},
                      Destination<bf16>{c, 2});
  for (const bf16 x : c) CHECK(static_cast<float>(x) == 2.0f);
}

TEMPLATE_TEST_CASE("a product has the same bits on any number of threads", "[matmul]", double, float, bf16) {
  for (const auto [m, n, k] : {std::array<Index, 3>{150, 70, 90}, std::array<Index, 3>{65, 333, 300},
                               std::array<Index, 3>{1, 700, 400}, std::array<Index, 3>{700, 1, 400},
                               std::array<Index, 3>{1, 2500, 531}, std::array<Index, 3>{129, 33, 1000},
                               std::array<Index, 3>{300, 1100, 1100}})
    for (const bool right : {false, true}) {
      const Placed<TestType> a{1, m, k, false, 0}, b{2, k, n, right, 0};
      const auto product = [rows = m, columns = n, depth = k, &a, &b](int threads) {
        const Threads scope{threads};
        std::vector<TestType> c(static_cast<std::size_t>(rows * columns));
        cpu::multiply<TestType>(rows, columns, depth, 1, a.matrix(), b.matrix(),
                                Destination<TestType>{c.data(), columns});
        return c;
      };
      // oneDNN's order of sums depends on the extents of a thread's panel.
      if (m > 1 && n > 1 && std::string(cpu::matmul_backend<TestType>()) == "oneDNN") continue;
      const auto alone = product(1);
      CAPTURE(m, n, k, right);
      for (const int threads : {2, 3, 7})
        CHECK(std::memcmp(alone.data(), product(threads).data(), alone.size() * sizeof(TestType)) == 0);
    }
}

TEST_CASE("infinities and NaN stay in their rows and columns", "[matmul]") {
  const Index m = 13, n = 35, k = 7;
  Placed<float> a{1, m, k, false, 0}, b{2, k, n, false, 0};
  a.values[static_cast<std::size_t>(5 * k + 2)] = INFINITY;
  b.values[static_cast<std::size_t>(3 * n + 33)] = NAN;
  std::vector<float> c(static_cast<std::size_t>(m * n));
  cpu::multiply<float>(m, n, k, 1, a.matrix(), b.matrix(), Destination<float>{c.data(), n});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      CAPTURE(i, j);
      const float x = c[static_cast<std::size_t>(i * n + j)];
      CHECK(std::isnan(x) == (j == 33));
      if (j != 33) CHECK(std::isinf(x) == (i == 5));
    }
}

TEST_CASE("the kind of product is told", "[matmul]") {
  CHECK(std::string(cpu::matmul_backend<std::int32_t>()) == "burrow, plain loops");
  CHECK(std::string(cpu::matmul_backend<double>()).starts_with("burrow, vectors of "));
#ifdef BURROW_WITH_ONEDNN
  CHECK(std::string(cpu::matmul_backend<float>()) == "oneDNN");
  const cpu::WithoutOnednn own_kernel;
#endif
  const std::string narrow = cpu::matmul_backend<bf16>();
  const bool tiles = cpu::detail::amx_permitted();
  CHECK((narrow == "burrow, tiles of bf16 (AMX)") == tiles);
  CHECK(narrow.starts_with("burrow, pairs of bf16") == (cpu::multiplies_bf16_pairs && !tiles));
  const cpu::WithoutAmx scope;
  CHECK(std::string(cpu::matmul_backend<bf16>()).starts_with("burrow, pairs of bf16") ==
        cpu::multiplies_bf16_pairs);
}
