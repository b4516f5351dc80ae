// Cross-entropy of rows of logits on the CPU, fused with log-softmax.
#pragma once

#include <burrow/ops/index_check.hpp>
#include <burrow/ops/softmax/cpu.hpp>

namespace burrow::detail {

/// The log-likelihood of each row's target, 0 where the target is negative; and the log-sum-exp of the rows
/// that have one.
template <class T, IndexElement I, class C>
void target_log_likelihoods(Cpu, const Rows& rows, const T* logits, const I* targets,
                            LogSumExp<C>* normalizers, C* likelihoods) {
  for_each_row(rows, [&](Index r) {
    const auto target = static_cast<Index>(targets[r]);
    likelihoods[r] = C(0);
    if (target < 0) return;
    const T* const row = logits + r * rows.width;
    normalizers[r] = row_log_sum_exp<C>(row, rows.width);
    likelihoods[r] = static_cast<C>(row[target]) - normalizers[r].maximum - normalizers[r].log_sum;
  });
}

/// Writes the sum of the negated likelihoods, taken in order.
template <class C>
void negated_sum(Cpu, const C* likelihoods, Index count, C* sum) {
  using Wide = promoted<C, double>;
  Wide total(0);
  for (Index i = 0; i < count; ++i) total -= static_cast<Wide>(likelihoods[i]);
  *sum = static_cast<C>(total);
}

/// dlogits = (softmax - one-hot) dsum in rows with a target, 0 in the others.
template <class T, IndexElement I, class C>
void cross_entropy_backward(Cpu, const Rows& rows, const T* logits, const I* targets,
                            const LogSumExp<C>* normalizers, const C* dsum, DenseTarget<T> dlogits) {
  const Packet<C> scale(*dsum);
  for_each_row(rows, [&](Index r) {
    const auto target = static_cast<Index>(targets[r]);
    const auto to = dlogits.row(r, rows.width);
    if (target < 0) {
      if (!to.accumulate) std::fill_n(to.data, rows.width, T(0));
      return;
    }
    const T* const row = logits + r * rows.width;
    const C old = to.accumulate ? static_cast<C>(to.data[target]) : C(0);
    const auto [maximum, log_sum] = normalizers[r];
    const Packet<C> m(maximum), l(log_sum);
    for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index count) {
      to.template put<Full>(i, exp(load_packet<C, Full>(row + i, count) - m - l) * scale, count);
    });
    const C probability = number::exp(static_cast<C>(row[target]) - maximum - log_sum);
    to.data[target] = static_cast<T>(old + (probability - C(1)) * *dsum);
  });
}

}  // namespace burrow::detail
