#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/attention/attention.hpp>
#include <burrow/ops/attention/positions.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"
#include "tests/threads.hpp"
#include "tests/worse.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

struct Extents {
  Index batch, queries, memory, heads, head_width;
  Index keys() const { return queries + memory; }
  Index width() const { return heads * head_width; }
};

template <class T>
using Rows = Tensor<T, Shape<dyn, dyn, dyn>>;

/// The operands of an attention, or their gradients.
template <class T>
struct Operands {
  Rows<T> q, k, v;
  Tensor<T, Shape<dyn, dyn>> r;
  Tensor<T, Shape<dyn>> u, w;
};

template <class T>
Operands<T> operands(const Extents& e, Index positions, double scale = 1) {
  const Shape<dyn, dyn, dyn> queries{{e.batch, e.queries, e.width()}}, keys{{e.batch, e.keys(), e.width()}};
  const Shape<dyn> width{{e.width()}};
  return {random<T>(1, queries, scale), random<T>(2, keys, scale),
          random<T>(3, keys),           random<T>(4, Shape<dyn, dyn>{{positions, e.width()}}, scale),
          random<T>(5, width),          random<T>(6, width)};
}

template <class To, class From>
Operands<To> converted(const Operands<From>& x) {
  return {Tensor(cast<To>(x.q)), Tensor(cast<To>(x.k)), Tensor(cast<To>(x.v)),
          Tensor(cast<To>(x.r)), Tensor(cast<To>(x.u)), Tensor(cast<To>(x.w))};
}

/// The definition in double: probabilities of one query row over the keys that it sees.
std::vector<double> probabilities(const Extents& e, const Operands<double>& x, Index b, Index h, Index i,
                                  bool relative) {
  const Index first = h * e.head_width, last = first + e.head_width;
  std::vector<double> p;
  for (Index j = 0; j <= i + e.memory; ++j) {
    double score = 0;
    for (Index c = first; c < last; ++c) {
      const double q = x.q(b, i, c);
      score +=
          relative ? (q + x.u(c)) * x.k(b, j, c) + (q + x.w(c)) * x.r(i + e.memory - j, c) : q * x.k(b, j, c);
    }
    p.push_back(score / std::sqrt(static_cast<double>(e.head_width)));
  }
  const double top = *std::max_element(p.begin(), p.end());
  double total = 0;
  for (double& s : p) total += s = std::exp(s - top);
  for (double& s : p) s /= total;
  return p;
}

Rows<double> reference_output(const Extents& e, const Operands<double>& x, bool relative) {
  auto out = zeros<Shape<dyn, dyn, dyn>, double>(x.q.shape());
  for (Index b = 0; b < e.batch; ++b)
    for (Index h = 0; h < e.heads; ++h)
      for (Index i = 0; i < e.queries; ++i) {
        const auto p = probabilities(e, x, b, h, i, relative);
        for (Index j = 0; j < static_cast<Index>(p.size()); ++j)
          for (Index c = h * e.head_width; c < (h + 1) * e.head_width; ++c)
            out(b, i, c) += p[static_cast<std::size_t>(j)] * x.v(b, j, c);
      }
  return out;
}

/// The explicit derivative of sum(output * dy), row by row.
Operands<double> reference_gradients(const Extents& e, const Operands<double>& x, const Rows<double>& dy,
                                     bool relative) {
  auto d = converted<double>(x);
  for (auto* rows : {&d.q, &d.k, &d.v}) std::fill_n(rows->data(), rows->size(), 0.0);
  std::fill_n(d.r.data(), d.r.size(), 0.0);
  for (auto* bias : {&d.u, &d.w}) std::fill_n(bias->data(), bias->size(), 0.0);
  for (Index b = 0; b < e.batch; ++b)
    for (Index h = 0; h < e.heads; ++h)
      for (Index i = 0; i < e.queries; ++i) {
        const auto p = probabilities(e, x, b, h, i, relative);
        const Index first = h * e.head_width, last = first + e.head_width, count = i + e.memory + 1;
        std::vector<double> dp(p.size());
        double mean = 0;
        for (Index j = 0; j < count; ++j) {
          auto& of_j = dp[static_cast<std::size_t>(j)];
          for (Index c = first; c < last; ++c) of_j += dy(b, i, c) * x.v(b, j, c);
          mean += p[static_cast<std::size_t>(j)] * of_j;
        }
        for (Index j = 0; j < count; ++j) {
          const double share = p[static_cast<std::size_t>(j)];
          const double ds =
              share * (dp[static_cast<std::size_t>(j)] - mean) / std::sqrt(static_cast<double>(e.head_width));
          const Index delta = i + e.memory - j;
          for (Index c = first; c < last; ++c) {
            const double content = ds * x.k(b, j, c), position = relative ? ds * x.r(delta, c) : 0;
            d.v(b, j, c) += share * dy(b, i, c);
            d.q(b, i, c) += content + position;
            d.k(b, j, c) += ds * (x.q(b, i, c) + (relative ? x.u(c) : 0));
            d.r(delta, c) += ds * (x.q(b, i, c) + x.w(c));
            d.u(c) += content;
            d.w(c) += position;
          }
        }
      }
  return d;
}

template <class T>
struct Result {
  Rows<T> out;
  Operands<T> gradients;
};

template <class T>
Result<T> relative_result(const Operands<T>& x, const Rows<T>& dy, Index heads) {
  Tape tape;
  const auto q = tape.watch(x.q), k = tape.watch(x.k), v = tape.watch(x.v);
  const auto r = tape.watch(x.r);
  const auto u = tape.watch(x.u), w = tape.watch(x.w);
  const auto out = relative_attention(q, k, v, r, u, w, heads);
  tape.backward(out, dy);
  return {out.value(),
          {tape.gradient(q), tape.gradient(k), tape.gradient(v), tape.gradient(r), tape.gradient(u),
           tape.gradient(w)}};
}

template <class T>
Result<T> plain_result(const Operands<T>& x, const Rows<T>& dy, Index heads) {
  Tape tape;
  const auto q = tape.watch(x.q), k = tape.watch(x.k), v = tape.watch(x.v);
  const auto out = causal_attention(q, k, v, heads);
  tape.backward(out, dy);
  return {out.value(), {tape.gradient(q), tape.gradient(k), tape.gradient(v), x.r, x.u, x.w}};
}

template <class T>
void agrees(const Extents& e, Index positions, double allowed, double allowed_gradient) {
  CAPTURE(dtype_name<T>(), e.batch, e.queries, e.memory, e.heads, e.head_width);
  const auto x = operands<T>(e, positions);
  const auto exact = converted<double>(x);
  const auto dy = random<T>(7, x.q.shape());
  const auto wide = Tensor(cast<double>(dy));
  const auto plain = plain_result(x, dy, e.heads);
  const auto plain_gradients = reference_gradients(e, exact, wide, false);
  CHECK(distance(plain.out, reference_output(e, exact, false)) <= allowed);
  CHECK(distance(plain.gradients.q, plain_gradients.q) <= allowed_gradient);
  CHECK(distance(plain.gradients.k, plain_gradients.k) <= allowed_gradient);
  CHECK(distance(plain.gradients.v, plain_gradients.v) <= allowed_gradient);
  const auto relative = relative_result(x, dy, e.heads);
  const auto gradients = reference_gradients(e, exact, wide, true);
  CHECK(distance(relative.out, reference_output(e, exact, true)) <= allowed);
  CHECK(distance(relative.gradients.q, gradients.q) <= allowed_gradient);
  CHECK(distance(relative.gradients.k, gradients.k) <= allowed_gradient);
  CHECK(distance(relative.gradients.v, gradients.v) <= allowed_gradient);
  CHECK(distance(relative.gradients.r, gradients.r) <= allowed_gradient);
  CHECK(distance(relative.gradients.u, gradients.u) <= allowed_gradient);
  CHECK(distance(relative.gradients.w, gradients.w) <= allowed_gradient);
}

/// The same in bf16, by every kernel that this machine has for it.
void agrees_in_bf16(const Extents& e) {
  agrees<bf16>(e, e.keys(), 1e-2, 3e-2);
  if (!cpu::detail::amx_permitted()) return;
  const cpu::WithoutAmx pairs;
  agrees<bf16>(e, e.keys(), 1e-2, 3e-2);
}

/// Position scores by Transformer-XL's shift: columns from the largest distance to 0, a zero column put
/// before them, and the rows cut anew.
std::vector<double> shifted_scores(const Extents& e, const Operands<double>& x) {
  const Index t = e.queries, keys = e.keys();
  std::vector<double> padded;
  for (Index i = 0; i < t; ++i) {
    padded.push_back(0);
    for (Index c = 0; c < keys; ++c) {
      double score = 0;
      for (Index l = 0; l < e.width(); ++l) score += (x.q(0, i, l) + x.w(l)) * x.r(keys - 1 - c, l);
      padded.push_back(score);
    }
  }
  return {padded.begin() + t, padded.end()};
}

}  // namespace

TEST_CASE("attention agrees with its definition, outputs and all gradients", "[attention]") {
  for (const Extents& e : {Extents{1, 1, 0, 1, 1},
                           {1, 1, 4, 1, 3},
                           {2, 5, 0, 3, 4},
                           {1, 9, 3, 1, 7},
                           {3, 2, 1, 2, 1},
                           {1, 64, 0, 1, 8},
                           {1, 65, 1, 1, 5},
                           {2, 150, 0, 1, 3},
                           {1, 150, 37, 3, 9}})
    agrees<double>(e, e.keys(), 1e-12, 1e-12);
}

TEST_CASE("attention agrees at the edges of tiles, blocks and panels", "[attention]") {
  for (const Index queries : {5, 63, 64, 65, 128, 129, 193})
    for (const Index memory : {0, 1, 63, 64, 127, 200})
      agrees<double>({1, queries, memory, 1, 2}, queries + memory, 1e-12, 1e-12);
  for (const Index head_width : {15, 16, 17, 31, 32, 33, 40, 64}) {
    agrees<double>({1, 67, 3, 2, head_width}, 70, 1e-12, 1e-12);
    agrees<float>({1, 67, 3, 2, head_width}, 70, 1e-5, 1e-4);
  }
}

TEST_CASE("few queries after many keys agree with the definition", "[attention]") {
  for (const Index queries : {1, 2, 3, 4})
    for (const Index memory : {0, 1, 127, 128, 300}) {
      agrees<double>({2, queries, memory, 3, 5}, queries + memory + 2, 1e-12, 1e-12);
      agrees<float>({1, queries, memory, 2, 32}, queries + memory, 1e-5, 1e-4);
      agrees_in_bf16({1, queries, memory, 2, 56});
    }
}

TEST_CASE("long contexts, cut in parts, agree with the definition", "[attention]") {
  agrees<double>({1, 2100, 3, 1, 2}, 2103, 1e-11, 1e-11);
  agrees<double>({2, 1100, 0, 1, 1}, 1100, 1e-11, 1e-11);
}

TEST_CASE("attention in float and bf16 agrees within rounding", "[attention]") {
  for (const Extents& e : {Extents{2, 70, 5, 3, 8}, {1, 3, 0, 1, 1}}) {
    agrees<float>(e, e.keys(), 1e-5, 1e-4);
    agrees_in_bf16(e);
  }
}

TEST_CASE("bf16 agrees at odd extents and at the edges of tiles", "[attention]") {
  for (const Extents& e : {Extents{1, 5, 0, 1, 1},
                           {1, 31, 0, 1, 32},
                           {1, 97, 31, 1, 96},
                           {1, 130, 62, 1, 128},
                           {1, 63, 64, 2, 3},
                           {1, 65, 127, 1, 16},
                           {2, 129, 1, 1, 17},
                           {1, 67, 3, 2, 33},
                           {1, 193, 200, 1, 32},
                           {1, 128, 0, 1, 64}})
    agrees_in_bf16(e);
}

TEST_CASE("long contexts in bf16, cut in parts, agree with the definition", "[attention]") {
  agrees_in_bf16({1, 1100, 3, 1, 2});
}

TEST_CASE("distances that no query has get no gradient", "[attention]") {
  const Extents e{1, 5, 2, 1, 3};
  agrees<double>(e, e.keys() + 4, 1e-12, 1e-12);
  const auto x = operands<double>(e, e.keys() + 4);
  const auto result = relative_result(x, random<double>(7, x.q.shape()), 1);
  for (Index delta = e.keys(); delta < e.keys() + 4; ++delta)
    for (Index c = 0; c < 3; ++c) CHECK(result.gradients.r(delta, c) == 0.0);
}

TEST_CASE("the gradients of attention agree with differences", "[attention]") {
  const auto x = operands<double>({2, 3, 2, 2, 2}, 5);
  CHECK(gradient_error([](const auto&... a) { return relative_attention(a..., 2); }, x.q, x.k, x.v, x.r, x.u,
                       x.w) <= 1e-8);
  CHECK(gradient_error([](const auto&... a) { return causal_attention(a..., 2); }, x.q, x.k, x.v) <= 1e-8);
}

TEST_CASE("one tensor may be query, key and value", "[attention]") {
  const auto x = random<double>(8, Shape<dyn, dyn, dyn>{{1, 4, 4}});
  CHECK(gradient_error([](const auto& a) { return causal_attention(a, a, a, 2); }, x) <= 1e-8);
}

TEST_CASE("relative positions agree with the shift of Transformer-XL", "[attention]") {
  const Extents e{1, 7, 4, 1, 6};
  const auto x = operands<double>(e, e.keys());
  const auto positions = shifted_scores(e, x);
  auto expected = zeros<Shape<dyn, dyn, dyn>, double>(x.q.shape());
  for (Index i = 0; i < e.queries; ++i) {
    std::vector<double> weights;
    double total = 0;
    for (Index j = 0; j <= i + e.memory; ++j) {
      double score = positions[static_cast<std::size_t>(i * e.keys() + j)];
      for (Index c = 0; c < e.width(); ++c) score += (x.q(0, i, c) + x.u(c)) * x.k(0, j, c);
      total += weights.emplace_back(std::exp(score / std::sqrt(6.0)));
    }
    for (Index j = 0; j <= i + e.memory; ++j)
      for (Index c = 0; c < e.width(); ++c)
        expected(0, i, c) += weights[static_cast<std::size_t>(j)] / total * x.v(0, j, c);
  }
  CHECK(distance(relative_attention(x.q, x.k, x.v, x.r, x.u, x.w, 1), expected) <= 1e-12);
}

TEST_CASE("an output depends on every key that it sees and on no later one", "[attention]") {
  const Extents e{1, 70, 3, 1, 4};
  const auto x = operands<double>(e, e.keys(), 0.3);
  for (const Index i : {0, 5, 62, 63, 64, 69}) {
    auto dy = zeros<Shape<dyn, dyn, dyn>, double>(x.q.shape());
    for (Index c = 0; c < e.width(); ++c) dy(0, i, c) = static_cast<double>(1 + c);
    const auto d = relative_result(x, dy, 1).gradients;
    for (Index j = 0; j < e.keys(); ++j) {
      CAPTURE(i, j);
      const bool seen = j <= i + e.memory;
      REQUIRE((d.v(0, j, 0) != 0.0) == seen);
      REQUIRE((d.k(0, j, 0) != 0.0) == (seen && i + e.memory > 0));
      REQUIRE((d.r(i + e.memory >= j ? i + e.memory - j : j, 0) != 0.0) == seen);
    }
    for (Index other = 0; other < e.queries; ++other) REQUIRE((d.q(0, other, 1) != 0.0) == (other == i));
  }
}

TEST_CASE("what comes after a query changes no bit of its output", "[attention]") {
  const Extents e{1, 130, 0, 2, 8};
  const auto x = operands<float>(e, e.keys());
  auto changed = x;
  for (Index c = 0; c < e.width(); ++c)
    for (Index j = 100; j < 130; ++j) changed.k(0, j, c) = changed.v(0, j, c) = 1e6f;
  const auto before = relative_attention(x.q, x.k, x.v, x.r, x.u, x.w, 2);
  const auto after = relative_attention(changed.q, changed.k, changed.v, changed.r, changed.u, changed.w, 2);
  CHECK(std::memcmp(before.data(), after.data(), static_cast<std::size_t>(64 * e.width()) * sizeof(float)) ==
        0);
  double worst = 0;
  for (Index i = 0; i < 100 * e.width(); ++i)
    worst = worse(worst, std::abs(static_cast<double>(before.data()[i] - after.data()[i])));
  CHECK(worst <= 1e-6);
}

TEMPLATE_TEST_CASE("large scores do not overflow", "[attention]", float, bf16) {
  const Extents e{1, 80, 0, 1, 4};
  auto x = operands<TestType>(e, e.keys(), 300);
  const auto result = relative_result(x, random<TestType>(9, x.q.shape()), 1);
  for (const auto* rows : {&result.out, &result.gradients.q, &result.gradients.k, &result.gradients.v})
    for (const TestType value : std::as_const(*rows).values())
      REQUIRE(std::isfinite(static_cast<float>(value)));
}

TEMPLATE_TEST_CASE("attention does not depend on the number of threads", "[attention]", float, bf16) {
  const Extents e = GENERATE(Extents{3, 90, 10, 4, 8}, Extents{1, 2100, 0, 1, 3}, Extents{2, 2, 700, 2, 8});
  const auto x = operands<TestType>(e, e.keys());
  const auto dy = random<TestType>(10, x.q.shape());
  const Index heads = e.heads;
  CHECK(thread_independent([&] { return relative_result(x, dy, heads); },
                           [](const auto& a, const auto& b) {
                             return same_bits(a.out, b.out) && same_bits(a.gradients.q, b.gradients.q) &&
                                    same_bits(a.gradients.k, b.gradients.k) &&
                                    same_bits(a.gradients.v, b.gradients.v) &&
                                    same_bits(a.gradients.r, b.gradients.r) &&
                                    same_bits(a.gradients.u, b.gradients.u) &&
                                    same_bits(a.gradients.w, b.gradients.w);
                           }));
}

TEST_CASE("the memory of attention grows with the length, not with its square", "[attention]") {
  // On one thread: with more, timing decides how many heads' scratch is in use at once.
  const Threads scope{1};
  const auto peak = [](Index length) {
    const Extents e{1, length, 0, 2, 8};
    const auto x = operands<float>(e, e.keys());
    const auto dy = random<float>(11, x.q.shape());
    const Index before = memory_statistics().bytes_in_use;
    reset_peak_memory();
    relative_result(x, dy, 2);
    return static_cast<double>(memory_statistics().peak_bytes_in_use - before);
  };
  const double small = peak(256), large = peak(1024);
  CAPTURE(small, large);
  CHECK(large <= 4.6 * small);
}

TEST_CASE("the memory of attention at long contexts grows with the length", "[attention]") {
  const Threads scope{1};
  const auto peak = [](Index length) {
    const Extents e{1, length, 0, 16, 2};
    const auto x = operands<float>(e, e.keys());
    const Index before = memory_statistics().bytes_in_use;
    reset_peak_memory();
    relative_result(x, x.v, 16);
    return static_cast<double>(memory_statistics().peak_bytes_in_use - before);
  };
  const double small = peak(1024), large = peak(4096);
  CAPTURE(small, large);
  CHECK(large <= 4.4 * small);
  CHECK(large <= 4096.0 * 16 * 4096 * sizeof(float) / 8);  // an eighth of one array of scores
}

TEMPLATE_TEST_CASE("an infinite or missing number reaches the outputs that see it", "[attention]", float,
                   bf16) {
  const Extents e{1, 200, 0, 1, 4};
  auto x = operands<TestType>(e, e.keys());
  x.q(0, 70, 1) = static_cast<TestType>(NAN);
  const auto out = relative_attention(x.q, x.k, x.v, x.r, x.u, x.w, 1);
  for (Index i = 0; i < e.queries; ++i) REQUIRE(std::isnan(static_cast<float>(out(0, i, 0))) == (i == 70));
}

TEST_CASE("operands that do not fit are an error that names them", "[attention]") {
  const auto x = operands<float>({1, 4, 2, 2, 3}, 6);
  CHECK_THROWS_AS(causal_attention(x.q, x.k, x.v, 4), ShapeError);
  CHECK_THROWS_WITH(causal_attention(x.q, x.k, x.v, 4),
                    Contains("causal_attention: a width of 6 is not a multiple of 4 heads") &&
                        Contains("attention_test.cpp:"));
  CHECK_THROWS_WITH(causal_attention(x.q, x.k, x.v, 0), Contains("0 heads"));
  CHECK_THROWS_WITH(causal_attention(x.k, x.q, x.q, 2),
                    Contains("queries Shape<1, 6, 6> do not fit keys Shape<1, 4, 6>"));
  CHECK_THROWS_WITH(causal_attention(x.q, x.k, x.q, 2), Contains("values Shape<1, 4, 6>"));
  const auto few = random<float>(12, Shape<dyn, dyn>{{5, 6}});
  CHECK_THROWS_WITH(relative_attention(x.q, x.k, x.v, few, x.u, x.w, 2),
                    Contains("relative_attention: positions Shape<5, 6>"));
}

TEST_CASE("sinusoids are those of Transformer-XL, sines before cosines", "[attention]") {
  const auto table = sinusoids<6, double>(5);
  for (Index p = 0; p < 5; ++p)
    for (Index m = 0; m < 3; ++m) {
      const double angle = static_cast<double>(p) * std::pow(10000.0, -2.0 * static_cast<double>(m) / 6.0);
      CHECK(table(p, m) == Approx(std::sin(angle)).margin(1e-15));
      CHECK(table(p, m + 3) == Approx(std::cos(angle)));
    }
  const auto more = sinusoids<dyn, double>(40, 6), fewer = sinusoids<dyn, double>(7, 6);
  REQUIRE(fewer.shape() == Shape<dyn, dyn>{{7, 6}});
  CHECK(std::memcmp(more.data(), fewer.data(), sizeof(double) * 42) == 0);
  CHECK(std::memcmp(more.data(), table.data(), sizeof(double) * 30) == 0);
}
