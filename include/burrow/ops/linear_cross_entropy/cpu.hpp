// Cross-entropy of a linear map's outputs on the CPU, a block of logits at a time.
#pragma once

#include <burrow/ops/matmul/cpu.hpp>
#include <burrow/ops/rows.hpp>

namespace burrow::detail {

/// The operands: logits = h table^T + bias, h [rows, width], table [words, width], bias [words] or null, and
/// the target of each row, in [0, words).
template <class T>
struct LinearLogits {
  Index rows, width, words;
  const T* h;
  cpu::Matrix<const T> table;
  const compute_type<T>* bias;
  const Index* targets;
};

/// Where the gradients of the summed loss go; null where nobody asks. Those of table and bias lie as the
/// table's elements do.
template <class C>
struct LinearLossGradients {
  C* h = nullptr;
  cpu::Matrix<C> table{nullptr, 0};
  C* bias = nullptr;
  explicit operator bool() const { return h != nullptr || table.data != nullptr || bias != nullptr; }
};

/// What is known of a row of logits so far: sum(exp(logit - maximum)), and its target's logit.
template <class C>
struct PartialLogSumExp {
  C maximum, sum, target;
};

/// c (+)= a b on all threads, in the type that T is computed in.
template <class T>
void multiply_unrounded(Index m, Index n, Index k, cpu::Matrix<const T> a, cpu::Matrix<const T> b,
                        bool accumulate, cpu::Matrix<compute_type<T>> c) {
  using C = compute_type<T>;
  if constexpr (std::same_as<T, C>) {
    cpu::multiply<T>(m, n, k, T(1), a, b, accumulate, c);
  } else {
    if (c.transposed)
      return multiply_unrounded<T>(n, m, k, b.transpose(), a.transpose(), accumulate, c.transpose());
    constexpr Index panel = 512;
    const bool rows = m > n;
    const Index panels = ((rows ? m : n) + panel - 1) / panel;
    parallel_tasks(panels, [&](Index i) {
      const Index first = i * panel, row = rows ? first : 0, column = rows ? 0 : first;
      cpu::detail::multiply_packed<C>(rows ? std::min(panel, m - first) : m,
                                      rows ? n : std::min(panel, n - first), k, C(1), a.block(row, 0),
                                      b.block(0, column), accumulate, c.block(row, column).data, c.stride);
    });
  }
}

/// Adds the bias to `count` logits of a row, from number `first` on, and the logits to what is known of the
/// row. Where Keep, the logits become exp(logit - maximum).
template <bool Keep, class C>
void fold_logits(C* x, Index first, Index count, const C* bias, Index target, PartialLogSumExp<C>& known) {
  const C largest = fold_row<MaximumOf, C>(count, [&]<bool Full>(Index i, Index n) {
    auto value = load_packet<C, Full>(x + i, n);
    if (bias == nullptr) return value;
    value = value + load_packet<C, Full>(bias + first + i, n);
    store_packet(x + i, value, n, Full);
    return value;
  });
  if (target >= first && target < first + count) known.target = x[target - first];
  const bool nothing = !Keep && largest == MaximumOf::identity<C>;  // every logit is -infinity
  const C sum = nothing ? C(0) : row_sum<C>(count, [&]<bool Full>(Index i, Index n) {
    const auto weight = exp(load_packet<C, Full>(x + i, n) - Packet<C>(largest));
    if constexpr (Keep) store_packet(x + i, weight, n, Full);
    return weight;
  });
  if (first == 0) {
    known.maximum = largest;
    known.sum = sum;
  } else if (!nothing) {
    const C maximum = known.maximum > largest ? known.maximum : largest;
    known.sum = known.sum * number::exp(known.maximum - maximum) + sum * number::exp(largest - maximum);
    known.maximum = maximum;
  }
}

/// Turns a row of weights, exp(logit - maximum), into softmax - one-hot as T, in the same memory.
template <class T, class C>
void logits_gradient(C* weights, Index count, C scale, Index target) {
  const C at_target = weights[target] * scale - C(1);
  constexpr Index length = 256;
  alignas(64) C from[length];
  alignas(64) T to[length];
  for (Index first = 0; first < count; first += length) {
    const Index n = std::min(length, count - first);
    std::memcpy(static_cast<void*>(from), weights + first, static_cast<std::size_t>(n) * sizeof(C));
    for_packets<lanes<C>>(0, n, [&]<bool Full>(Index i, Index lanes_left) {
      store_packet(to + i, load_packet<C, Full>(from + i, lanes_left) * Packet<C>(scale), lanes_left, Full);
    });
    if (target >= first && target < first + n) to[target - first] = static_cast<T>(at_target);
    std::memcpy(static_cast<void*>(reinterpret_cast<T*>(weights) + first), to,
                static_cast<std::size_t>(n) * sizeof(T));
  }
}

/// sums (+)= the sum over `rows` rows of x, in order.
template <class T, class C>
void sum_rows(const T* x, Index stride, Index rows, Index width, bool accumulate, C* sums) {
  constexpr Index run = 1024;
  parallel_tasks((width + run - 1) / run, [&](Index piece) {
    const Index first = piece * run, last = std::min(first + run, width);
    if (!accumulate) std::fill(sums + first, sums + last, C(0));
    for (Index r = 0; r < rows; ++r)
      for_packets<lanes<C>>(first, last, [&]<bool Full>(Index i, Index n) {
        const auto sum = load_packet<C, Full>(sums + i, n) + load_packet<C, Full>(x + r * stride + i, n);
        store_packet(sums + i, sum, n, Full);
      });
  });
}

/// The memory that a block of logits takes. With gradients its rows are whole, so that the softmax is known
/// when the block is turned into its gradient; without, it stays in the second caches.
struct LogitsBlock {
  Index rows, words, stride;

  LogitsBlock(Index all_rows, Index all_words, Index bytes_of_logit, bool whole) {
    constexpr Index whole_bytes = Index{32} << 20;
    words = whole ? all_words : std::min<Index>(all_words, 2048);
    const Index most =
        whole ? std::max<Index>(whole_bytes / (bytes_of_logit * std::max<Index>(words, 1)), 64) : Index{512};
    const Index blocks = std::max<Index>((all_rows + most - 1) / most, 1);
    rows = std::max<Index>((all_rows + blocks - 1) / blocks, 1);
    stride = (words + 15) / 16 * 16 + 16;  // rows do not meet in one set of a cache
  }
};

/// The log-likelihood of each row's target, and the gradients of minus their sum.
template <class T, class C>
void linear_log_likelihoods(Cpu, const LinearLogits<T>& in, C* likelihoods,
                            const LinearLossGradients<C>& gradients) {
  const bool differentiated{gradients};
  const LogitsBlock block{in.rows, in.words, Index{sizeof(C)}, differentiated};
  const Buffer<Cpu> logits_buffer{block.rows * block.stride * Index{sizeof(C)}};
  const Buffer<Cpu> known_buffer{block.rows * Index{sizeof(PartialLogSumExp<C>)}};
  C* const logits = static_cast<C*>(logits_buffer.data());
  auto* const known = static_cast<PartialLogSumExp<C>*>(known_buffer.data());
  for (Index first = 0; first < in.rows; first += block.rows) {
    const Index rows = std::min(block.rows, in.rows - first);
    const cpu::Matrix<const T> h{in.h + first * in.width, std::max<Index>(in.width, 1)};
    for (Index word = 0; word < in.words; word += block.words) {
      const Index words = std::min(block.words, in.words - word);
      multiply_unrounded<T>(rows, words, in.width, h, in.table.block(word, 0).transpose(), false,
                            {logits, block.stride});
      for_each_row(Rows{rows, words}, [&](Index r) {
        C* const row = logits + r * block.stride;
        const Index target = in.targets[first + r];
        if (!differentiated) return fold_logits<false>(row, word, words, in.bias, target, known[r]);
        fold_logits<true>(row, word, words, in.bias, target, known[r]);
        logits_gradient<T>(row, words, C(1) / known[r].sum, target);
      });
    }
    for (Index r = 0; r < rows; ++r)
      likelihoods[first + r] = known[r].target - known[r].maximum - number::log(known[r].sum);
    if (!differentiated) continue;
    const auto* const dlogits = reinterpret_cast<const T*>(logits);
    const Index stride = block.stride * Index{sizeof(C)} / Index{sizeof(T)};
    const cpu::Matrix<const T> d{dlogits, stride};
    if (gradients.h != nullptr)
      multiply_unrounded<T>(rows, in.width, in.words, d, in.table, false,
                            {gradients.h + first * in.width, std::max<Index>(in.width, 1)});
    if (gradients.table.data != nullptr)
      multiply_unrounded<T>(in.words, in.width, rows, d.transpose(), h, first > 0, gradients.table);
    if (gradients.bias != nullptr) sum_rows(dlogits, stride, rows, in.words, first > 0, gradients.bias);
  }
}

}  // namespace burrow::detail
