// Attention with fewer key/value heads than query heads, and with linear biases.
#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/attention/attention.hpp>
#include <burrow/ops/attention/positions.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

struct Extents {
  Index batch, queries, memory, heads, key_heads, head_width;
  Index keys() const { return queries + memory; }
};

template <class T>
using Rows = Tensor<T, Shape<dyn, dyn, dyn>>;

template <class T>
struct Operands {
  Rows<T> q, k, v;
};

template <class T>
Operands<T> operands(const Extents& e) {
  const Shape<dyn, dyn, dyn> queries{{e.batch, e.queries, e.heads * e.head_width}};
  const Shape<dyn, dyn, dyn> keys{{e.batch, e.keys(), e.key_heads * e.head_width}};
  return {random<T>(1, queries), random<T>(2, keys), random<T>(3, keys)};
}

struct Reference {
  Rows<double> out;
  Operands<double> gradients;
};

/// Output and gradients of sum(out dy) by definition; key head h / group serves head h.
Reference reference(const Extents& e, const Operands<double>& x, const Rows<double>& dy,
                    const std::vector<double>& slopes) {
  using R3 = Shape<dyn, dyn, dyn>;
  Reference r{
      zeros<R3, double>(x.q.shape()),
      {zeros<R3, double>(x.q.shape()), zeros<R3, double>(x.k.shape()), zeros<R3, double>(x.v.shape())}};
  const double scale = 1 / std::sqrt(static_cast<double>(e.head_width));
  for (Index b = 0; b < e.batch; ++b)
    for (Index h = 0; h < e.heads; ++h)
      for (Index i = 0; i < e.queries; ++i) {
        const Index count = i + e.memory + 1, from = h * e.head_width;
        const Index shared = h / (e.heads / e.key_heads) * e.head_width - from;
        std::vector<double> p, dp;
        double total = 0, mean = 0;
        for (Index j = 0; j < count; ++j) {
          double score = -slopes[static_cast<std::size_t>(h)] * static_cast<double>(i + e.memory - j);
          for (Index c = from; c < from + e.head_width; ++c)
            score += scale * x.q(b, i, c) * x.k(b, j, c + shared);
          total += p.emplace_back(std::exp(score));
        }
        for (Index j = 0; j < count; ++j) {
          double& share = p[static_cast<std::size_t>(j)];
          share /= total;
          double dot = 0;
          for (Index c = from; c < from + e.head_width; ++c) dot += dy(b, i, c) * x.v(b, j, c + shared);
          mean += share * dp.emplace_back(dot);
        }
        for (Index j = 0; j < count; ++j) {
          const double share = p[static_cast<std::size_t>(j)];
          const double ds = share * (dp[static_cast<std::size_t>(j)] - mean) * scale;
          for (Index c = from; c < from + e.head_width; ++c) {
            r.out(b, i, c) += share * x.v(b, j, c + shared);
            r.gradients.q(b, i, c) += ds * x.k(b, j, c + shared);
            r.gradients.k(b, j, c + shared) += ds * x.q(b, i, c);
            r.gradients.v(b, j, c + shared) += share * dy(b, i, c);
          }
        }
      }
  return r;
}

template <class T, class F>
auto result(const Operands<T>& x, const Rows<T>& dy, const F& attention) {
  Tape tape;
  const auto q = tape.watch(x.q), k = tape.watch(x.k), v = tape.watch(x.v);
  const auto out = attention(q, k, v);
  tape.backward(out, dy);
  return std::tuple{out.value(), tape.gradient(q), tape.gradient(k), tape.gradient(v)};
}

template <class T>
void agrees(const Extents& e, bool linear, double allowed) {
  CAPTURE(e.batch, e.queries, e.memory, e.heads, e.key_heads, e.head_width, linear);
  const auto x = operands<T>(e);
  const auto dy = random<T>(4, x.q.shape());
  const auto slopes = alibi_slopes<T>(e.heads);
  std::vector<double> exact_slopes(static_cast<std::size_t>(e.heads), 0.0);
  if (linear) std::copy_n(slopes.data(), e.heads, exact_slopes.begin());
  const auto [out, dq, dk, dv] = result(x, dy, [&](const auto&... a) {
    return linear ? alibi_attention(a..., slopes, e.heads) : causal_attention(a..., e.heads);
  });
  const auto exact =
      reference(e, {Tensor(cast<double>(x.q)), Tensor(cast<double>(x.k)), Tensor(cast<double>(x.v))},
                Tensor(cast<double>(dy)), exact_slopes);
  CHECK(distance(out, exact.out) <= allowed);
  CHECK(distance(dq, exact.gradients.q) <= allowed);
  CHECK(distance(dk, exact.gradients.k) <= allowed);
  CHECK(distance(dv, exact.gradients.v) <= allowed);
}

}  // namespace

TEST_CASE("shared key heads and linear biases agree with the definition", "[attention]") {
  for (const Extents& e : {Extents{1, 1, 0, 1, 1, 1},
                           {2, 5, 0, 4, 2, 3},
                           {1, 9, 3, 6, 1, 5},
                           {2, 70, 5, 3, 3, 4},
                           {1, 130, 37, 6, 2, 7},
                           {0, 3, 0, 2, 1, 2}})
    for (const bool linear : {false, true}) agrees<double>(e, linear, 1e-12);
  for (const bool linear : {false, true}) agrees<float>({2, 70, 5, 4, 2, 8}, linear, 1e-4);
  for (const bool linear : {false, true}) {
    agrees<bf16>({2, 131, 5, 4, 2, 9}, linear, 1e-2);
    const cpu::WithoutAmx pairs;
    agrees<bf16>({2, 131, 5, 4, 2, 9}, linear, 1e-2);
  }
}

TEST_CASE("the gradients of shared heads agree with differences", "[attention]") {
  const auto x = operands<double>({2, 3, 1, 4, 2, 2});
  const Tensor<double, Shape<4>> slopes{0.5, 0.25, 0.1, 0};
  CHECK(gradient_error([&](const auto&... a) { return alibi_attention(a..., slopes, 4); }, x.q, x.k, x.v) <=
        1e-8);
}

TEST_CASE("the slopes of linear biases are those of the paper", "[attention]") {
  const auto eight = alibi_slopes<double>(8), six = alibi_slopes<double>(6), one = alibi_slopes<double>(1);
  for (Index h = 0; h < 8; ++h) CHECK(eight(h) == std::exp2(-static_cast<double>(h + 1)));
  const std::array expected{0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125};
  for (Index h = 0; h < 6; ++h) CHECK(six(h) == expected[static_cast<std::size_t>(h)]);
  CHECK(one(0) == 1.0 / 256);
}

TEST_CASE("shared heads do not depend on the number of threads", "[attention]") {
  const auto x = operands<float>({3, 90, 10, 4, 2, 8});
  const auto dy = random<float>(10, x.q.shape());
  const auto slopes = alibi_slopes(4);
  CHECK(thread_independent(
      [&] { return result(x, dy, [&](const auto&... a) { return alibi_attention(a..., slopes, 4); }); },
      [](const auto& a, const auto& b) {
        return same_bits(std::get<0>(a), std::get<0>(b)) && same_bits(std::get<1>(a), std::get<1>(b)) &&
               same_bits(std::get<2>(a), std::get<2>(b)) && same_bits(std::get<3>(a), std::get<3>(b));
      }));
}

TEST_CASE("key heads that do not fit are an error that names them", "[attention]") {
  const auto x = operands<float>({1, 4, 0, 4, 2, 3});
  const auto k = random<float>(5, Shape<dyn, dyn, dyn>{{1, 4, 9}});
  CHECK_THROWS_WITH(causal_attention(x.q, k, k, 4),
                    Contains("queries Shape<1, 4, 12> do not fit keys Shape<1, 4, 9>") &&
                        Contains("shared_attention_test.cpp:"));
  CHECK_THROWS_WITH(causal_attention(x.q, x.k, k, 4), Contains("values Shape<1, 4, 9>"));
  CHECK_THROWS_WITH(alibi_attention(x.q, x.k, x.v, alibi_slopes(3), 4),
                    Contains("alibi_attention: slopes Shape<3> for 4 heads"));
}
