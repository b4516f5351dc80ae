// Cross-entropy of a linear map's outputs on the CPU, a block of logits at a time.
#pragma once

#include <burrow/ops/matmul/cpu.hpp>
#include <burrow/ops/rows.hpp>

namespace burrow::detail {

/// The operands: logits = h table^T + bias, h [rows, width], table [words, width], bias [words] or null, and
/// the target of each row, in [0, words) unless it is a word of another rank. The table is rounded to T where
/// it is wider.
template <class T, class G>
struct LinearLogits {
  Index rows, width, words;
  const T* h;
  cpu::Matrix<const G> table;
  const compute_type<T>* bias;
  const Index* targets;
};

/// Where the gradients of the summed loss go; null where nobody asks. That of the table lies as its elements
/// do.
template <class C>
struct LinearLossGradients {
  C* h = nullptr;
  C* table = nullptr;
  C* bias = nullptr;
  explicit operator bool() const { return h != nullptr || table != nullptr || bias != nullptr; }
};

/// What is known of a row of logits so far: sum(exp(logit - maximum)), and its target's logit, 0 where that
/// is a word of another rank.
template <class C>
struct PartialLogSumExp {
  C maximum, sum, target = 0;
};

/// The rows of h that have a target: h itself, or a copy of them, and where they stand; and their targets,
/// counted from the table's first word.
template <class T, class D>
struct CountedRows {
  Buffer<D> positions, targets, copy;
  const T* h;
};

template <class T, class I>
CountedRows<T, Cpu> counted_rows(Cpu, const T* h, const I* ids, const Rows& rows, Index count,
                                 Index first_word) {
  CountedRows<T, Cpu> result{{}, Buffer<Cpu>{count * Index{sizeof(Index)}}, {}, h};
  auto* const targets = static_cast<Index*>(result.targets.data());
  if (count == rows.count) {
    for (Index r = 0; r < count; ++r) targets[r] = static_cast<Index>(ids[r]) - first_word;
    return result;
  }
  result.positions = Buffer<Cpu>{count * Index{sizeof(Index)}};
  result.copy = Buffer<Cpu>{count * rows.width * Index{sizeof(T)}};
  auto* const positions = static_cast<Index*>(result.positions.data());
  auto* const copy = static_cast<T*>(result.copy.data());
  for (Index r = 0, k = 0; r < rows.count; ++r) {
    if (static_cast<Index>(ids[r]) < 0) continue;
    targets[k] = static_cast<Index>(ids[r]) - first_word;
    positions[k] = r;
    std::copy_n(h + r * rows.width, rows.width, copy + k * rows.width);
    ++k;
  }
  result.h = copy;
  return result;
}

/// Adds *scale * row k of `values` to row positions[k] of `to`.
template <class T, class C>
void add_scaled_rows(Cpu, const Rows& rows, const C* values, const Index* positions, const C* scale, T* to) {
  for_each_row(rows, [&](Index k) {
    const DenseTarget<T> target{to + positions[k] * rows.width, true};
    for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index n) {
      target.template put<Full>(i, load_packet<C, Full>(values + k * rows.width + i, n) * Packet<C>(*scale),
                                n);
    });
  });
}

/// A table that has all words of the vocabulary. One that has a part of them, as ranks do that share it, has
/// the same members, and `join` (below).
struct WholeVocabulary {
  static constexpr bool whole = true;
  /// The number of words in all, given those of the table.
  Index words(Index of_table) const { return of_table; }
  /// The first word of the table.
  Index first() const { return 0; }
  /// The number of words for which blocks are made, the same on all ranks.
  Index block_words(Index of_table) const { return of_table; }
};

/// Adds `count` logits of a row, from number `first` on, to what is known of the row. Where Keep, they become
/// exp(logit - maximum).
template <bool Keep, class C>
void fold_logits(C* x, Index first, Index count, Index target, PartialLogSumExp<C>& known) {
  const C largest = row_max<C>(x, count);
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
  const bool here = target >= 0 && target < count;
  const C at_target = here ? weights[target] * scale - C(1) : C(0);
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

/// to (+)= d^T h for `rows` rows, in the order of the table's elements.
template <class T, class G, class C>
void add_table_gradient(const LinearLogits<T, G>& in, Index rows, cpu::Matrix<const T> d,
                        cpu::Matrix<const T> h, bool accumulate, C* to) {
  const Index stride = in.table.stride;
  const cpu::Destination<C> c{to, stride, accumulate ? to : nullptr, accumulate ? stride : 0};
  if (in.table.transposed)
    cpu::multiply<T>(in.width, in.words, rows, C(1), h.transpose(), d, c);
  else
    cpu::multiply<T>(in.words, in.width, rows, C(1), d.transpose(), h, c);
}

/// The log-likelihood of each row's target, and the gradients of minus their sum. Of a part of a vocabulary
/// join(known, rows, scales) makes what is known of rows that of the whole one, and gives the factor that
/// turns exp(logit - maximum of the part) into the softmax.
template <class T, class G, class C, class Vocabulary>
void linear_log_likelihoods(Cpu, const LinearLogits<T, G>& in, C* likelihoods,
                            const LinearLossGradients<C>& gradients, const Vocabulary& vocabulary) {
  const bool differentiated{gradients};
  const LogitsBlock block{in.rows, vocabulary.block_words(in.words), Index{sizeof(C)}, differentiated};
  const Buffer<Cpu> logits_buffer{block.rows * block.stride * Index{sizeof(C)}};
  const Buffer<Cpu> known_buffer{block.rows * Index{sizeof(PartialLogSumExp<C>)}};
  C* const logits = static_cast<C*>(logits_buffer.data());
  auto* const known = static_cast<PartialLogSumExp<C>*>(known_buffer.data());
  const Buffer<Cpu> scales_buffer{Vocabulary::whole ? Index{0} : block.rows * Index{sizeof(C)}};
  C* const scales = static_cast<C*>(scales_buffer.data());
  for (Index first = 0; first < in.rows; first += block.rows) {
    const Index rows = std::min(block.rows, in.rows - first);
    const cpu::Matrix<const T> h{in.h + first * in.width, std::max<Index>(in.width, 1)};
    if constexpr (!Vocabulary::whole) std::fill_n(known, rows, PartialLogSumExp<C>{});
    for (Index word = 0; word < in.words; word += block.words) {
      const Index words = std::min(block.words, in.words - word);
      cpu::multiply<T>(
          rows, words, in.width, C(1), h, in.table.block(word, 0).transpose(),
          cpu::Destination<C>{logits, block.stride, in.bias == nullptr ? nullptr : in.bias + word});
      for_each_row(Rows{rows, words}, [&](Index r) {
        C* const row = logits + r * block.stride;
        const Index target = in.targets[first + r];
        if (!differentiated) return fold_logits<false>(row, word, words, target, known[r]);
        fold_logits<true>(row, word, words, target, known[r]);
        if constexpr (Vocabulary::whole) logits_gradient<T>(row, words, C(1) / known[r].sum, target);
      });
    }
    if constexpr (!Vocabulary::whole) {
      vocabulary.join(known, rows, scales);
      if (differentiated)
        for_each_row(Rows{rows, in.words}, [&](Index r) {
          logits_gradient<T>(logits + r * block.stride, in.words, scales[r], in.targets[first + r]);
        });
    }
    for (Index r = 0; r < rows; ++r)
      likelihoods[first + r] = known[r].target - known[r].maximum - number::log(known[r].sum);
    if (!differentiated) continue;
    const auto* const dlogits = reinterpret_cast<const T*>(logits);
    const Index stride = block.stride * Index{sizeof(C)} / Index{sizeof(T)};
    const cpu::Matrix<const T> d{dlogits, stride};
    if (gradients.h != nullptr)
      cpu::multiply<T>(rows, in.width, in.words, C(1), d, in.table,
                       cpu::Destination<C>{gradients.h + first * in.width, in.width});
    if (gradients.table != nullptr) add_table_gradient(in, rows, d, h, first > 0, gradients.table);
    if (gradients.bias != nullptr) sum_rows(dlogits, stride, rows, in.words, first > 0, gradients.bias);
  }
}

}  // namespace burrow::detail
