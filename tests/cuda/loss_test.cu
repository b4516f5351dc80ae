// Losses on the device against those on the CPU.
#include <catch2/catch.hpp>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/autodiff/transform.hpp>
#include <burrow/ops/linear_cross_entropy/cuda.cuh>
#include <burrow/ops/matmul/matmul.hpp>
#include <burrow/tensor/rearranging.hpp>

#include "tests/cuda/close.hpp"
#include "tests/cuda/device_array.hpp"

namespace {

using namespace burrow;
using detail::DenseTarget;
using detail::LinearLossGradients;
using detail::LogSumExp;
using detail::Rows;
using test::Both;
using test::on_both;
using test::tolerance;

/// A target below `limit` for each row, negative in every fifth one.
std::vector<std::int32_t> some_targets(Index rows, Index limit) {
  std::vector<std::int32_t> targets(static_cast<std::size_t>(rows));
  for (std::size_t r = 0; r < targets.size(); ++r)
    targets[r] =
        r % 5 == 3 ? -1 : static_cast<std::int32_t>(Key{9}.bits(r) % static_cast<std::uint32_t>(limit));
  return targets;
}

}  // namespace

TEMPLATE_TEST_CASE("cross_entropy and its gradient", "", float, double, bf16) {
  using T = TestType;
  using C = compute_type<T>;
  for (const Rows rows : {Rows{0, 3}, Rows{1, 1}, Rows{9, 64}, Rows{11, 50}, Rows{3, 3001}}) {
    Both<std::int32_t> targets{some_targets(rows.count, rows.width)};
    Both<T> logits{rows.size(), 1}, dlogits{rows.size(), 2}, added{rows.size(), 3};
    Both<C> normalizers{2 * rows.count, 4}, likelihoods{rows.count, 5}, sum{1, 6}, dsum{1, 7};
    on_both([&](auto d) {
      auto* const known = reinterpret_cast<LogSumExp<C>*>(normalizers.at(d));
      target_log_likelihoods(d, rows, logits.read(d), targets.read(d), known, likelihoods.at(d));
      negated_sum(d, likelihoods.read(d), rows.count, sum.at(d));
      for (const auto& to : {DenseTarget<T>{dlogits.at(d), false}, DenseTarget<T>{added.at(d), true}})
        cross_entropy_backward(d, rows, logits.read(d), targets.read(d),
                               static_cast<const LogSumExp<C>*>(known), dsum.read(d), to);
    });
    INFO(rows.count << " rows of " << rows.width);
    CHECK(likelihoods.same());
    CHECK(sum.same());
    CHECK(dlogits.same());
    CHECK(added.same());
  }
}

namespace {

struct Logits {
  Index rows, width, words;
  bool by_column, biased;
};

/// The loss of each row and its gradients, with a table of G.
template <class T, class G>
void compare_linear_losses(const Logits& size) {
  using C = compute_type<T>;
  const auto [rows, width, words, by_column, biased] = size;
  auto ids = some_targets(rows, words);
  for (auto& id : ids) id = std::max(id, 0);
  Both<std::int32_t> targets{ids};
  Both<T> h{rows * width, 1};
  Both<G> table{words * width, 2};
  Both<C> bias{words, 3}, likelihoods{rows, 4}, only{rows, 4}, dh{rows * width, 5}, dtable{words * width, 6},
      dbias{words, 7};
  on_both([&](auto d) {
    const auto counted = counted_rows(d, h.read(d), targets.read(d), {rows, width}, rows, 0);
    const detail::LinearLogits<T, G> in{rows,
                                        width,
                                        words,
                                        counted.h,
                                        {table.read(d), by_column ? words : width, by_column},
                                        biased ? bias.read(d) : nullptr,
                                        static_cast<const Index*>(counted.targets.data())};
    linear_log_likelihoods(d, in, likelihoods.at(d),
                           LinearLossGradients<C>{dh.at(d), dtable.at(d), biased ? dbias.at(d) : nullptr},
                           detail::WholeVocabulary{});
    linear_log_likelihoods(d, in, only.at(d), LinearLossGradients<C>{}, detail::WholeVocabulary{});
  });
  INFO(rows << " rows of " << width << ", " << words << " words " << by_column << biased);
  CHECK(likelihoods.same());
  CHECK(only.same());
  if (rows == 0) return;  // nothing was written
  const double allowed = tolerance<T>();
  CHECK(dh.same(allowed));
  CHECK(dtable.same(allowed));
  CHECK(dbias.same(allowed));
}

}  // namespace

TEMPLATE_TEST_CASE("linear_cross_entropy and its gradients, some rows of logits at a time", "", float, double,
                   bf16) {
  using T = TestType;
  const Index usual = cuda::logits_bytes;
  for (const Index bytes : {usual, Index{3} * 48 * Index{sizeof(compute_type<T>)}}) {
    cuda::logits_bytes = bytes;
    for (const bool by_column : {false, true})
      for (const bool biased : {false, true}) {
        compare_linear_losses<T, T>({11, 7, 33, by_column, biased});
        compare_linear_losses<T, compute_type<T>>({8, 16, 48, by_column, biased});
        compare_linear_losses<T, compute_type<T>>({3, 5, 2, by_column, biased});
      }
    compare_linear_losses<T, T>({0, 4, 5, false, true});
  }
  cuda::logits_bytes = usual;
}

TEST_CASE("a gradient times a factor of the device, written or added") {
  for (const Index count : {0, 1, 64, 1001}) {
    Both<float> values{count, 1}, scale{1, 2};
    Both<bf16> written{count, 3}, added{count, 4};
    on_both([&](auto d) {
      add_scaled(d, values.read(d), count, scale.read(d), DenseTarget<bf16>{written.at(d), false});
      add_scaled(d, values.read(d), count, scale.read(d), DenseTarget<bf16>{added.at(d), true});
    });
    CHECK(written.same());
    CHECK(added.same());
  }
}

TEST_CASE("rows without a target count for nothing, and their number is known when it is asked for") {
  const Tensor<std::int32_t, Shape<2, 3>> targets{4, -1, 0, -1, -5, 2}, none(full<Shape<2, 3>>(-1));
  const auto h = normal<Shape<2, 3, 8>>(Key{1});
  const auto table = normal<Shape<5, 8>>(Key{2});
  const auto losses = [&]<class D>(D, const auto& ids) {
    const auto on_device = to<D>(ids);
    return value_and_grad(
        [&](const auto& x, const auto& rows) {
          const auto whole = linear_cross_entropy(x, rows, on_device);
          return whole.mean() + cross_entropy(matmul(x, transpose<0, 1>(rows)), on_device).mean() * 0.5f;
        },
        to<D>(h), to<D>(table));
  };
  const auto [expected, gradients] = losses(Cpu{}, targets);
  const Index waits = cuda::synchronizations();
  const auto [loss, device_gradients] = losses(Cuda{}, targets);
  CHECK(cuda::synchronizations() == waits);
  CHECK(float{loss} == Approx(expected).epsilon(1e-5));
  CHECK(distance(std::get<0>(device_gradients), std::get<0>(gradients)) < 1e-5);
  CHECK(distance(std::get<1>(device_gradients), std::get<1>(gradients)) < 1e-5);
  CHECK(Index{linear_cross_entropy(to<Cuda>(h), to<Cuda>(table), to<Cuda>(targets)).count} == 3);
  CHECK(std::isnan(float{losses(Cuda{}, none).first}));
}
