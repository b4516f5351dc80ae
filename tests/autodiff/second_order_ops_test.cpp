// Forward mode and second derivatives of the operations that are not elementwise.
#include <burrow/ops/attention/attention.hpp>
#include <burrow/ops/cross_entropy/cross_entropy.hpp>
#include <burrow/ops/embedding/embedding.hpp>
#include <burrow/ops/layer_norm/layer_norm.hpp>
#include <burrow/ops/matmul/matmul.hpp>
#include <burrow/ops/rms_norm/rms_norm.hpp>
#include <burrow/ops/softmax/softmax.hpp>
#include <catch2/catch.hpp>

#include "tests/autodiff/second_order.hpp"

using namespace burrow;

namespace {

const auto table = [] { return normal<Shape<3, 5>, double>(Key{1}); };

/// A constant as elements of the type of x.
const auto like = [](const auto& x, const auto& constant) { return cast<element_of<decltype(x)>>(constant); };

}  // namespace

TEST_CASE("Second derivatives of matrix products agree with differences") {
  const auto w = normal<Shape<5, 4>, double>(Key{2});
  const auto plain = [&](const auto& x) { return sum(square(matmul(sin(x), w))); };
  const auto gram = [](const auto& x) { return sum(exp(matmul(x, transpose(x)) * 0.1)); };
  CHECK(second_order_error(plain, table()) < 1e-8);
  CHECK(second_order_error(gram, table()) < 1e-8);
}

TEST_CASE("Second derivatives of softmax and cross-entropy agree with differences") {
  const Tensor<std::int32_t, Shape<3>> targets{4, -1, 0};
  const auto weighted = [](const auto& x) {
    return sum(softmax(x * 2) * sin(x)) + sum(square(log_softmax(x)));
  };
  const auto entropy = [&](const auto& x) { return cross_entropy(x * x, targets).sum / 2.0; };
  CHECK(second_order_error(weighted, table()) < 1e-8);
  CHECK(second_order_error(entropy, table()) < 1e-8);
}

TEST_CASE("Second derivatives of norms agree with differences, and an embedding's rows are added up") {
  const auto gain = normal<Shape<5>, double>(Key{3}), bias = normal<Shape<5>, double>(Key{4});
  const auto norms = [&](const auto& x) {
    return sum(square(layer_norm(x, like(x, gain), at(x, 0))) * rms_norm(x, at(x, 1)) + like(x, bias));
  };
  CHECK(second_order_error(norms, table()) < 1e-8);
  const Tensor<std::int32_t, Shape<4>> ids{2, 0, 2, 1};
  const auto rows = [&](const auto& x) { return sum(exp(embedding(x, ids) * mean(x))); };
  CHECK(second_order_error(rows, table()) < 1e-8);
}

TEST_CASE("Second derivatives of attention agree with differences") {
  const auto x = normal<Shape<2, 3, 4>, double>(Key{5});
  const auto relative = [&](const auto& q) {
    const auto r = like(q, normal<Shape<3, 4>, double>(Key{6}));
    const auto u = like(q, normal<Shape<4>, double>(Key{7})), w = like(q, normal<Shape<4>, double>(Key{8}));
    return sum(square(relative_attention(q, sin(q), q * 0.5, r, u, w, 2)));
  };
  CHECK(second_order_error(relative, x) < 1e-8);
}
