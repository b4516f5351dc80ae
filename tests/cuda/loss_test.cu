// Losses on the device against those on the CPU.
#include <catch2/catch.hpp>

#include <burrow/ops/cross_entropy/cuda.cuh>

#include "device_array.hpp"

namespace {

using namespace burrow;
using detail::DenseTarget;
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
