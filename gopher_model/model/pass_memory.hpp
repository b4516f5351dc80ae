// The bytes that the passes over a micro-batch take of the memory pool: each pass as the course of what it
// allocates and gives back, in the order in which the model's operations do, without allocating anything.
#pragma once

#include <algorithm>
#include <initializer_list>

#include <burrow/nn/rematerialization.hpp>

#include "gopher_model/model/accounting.hpp"

namespace gopher {

/// What something does to the memory in use: by how many bytes that is more afterwards, and by how many at
/// most meanwhile.
struct MemoryCourse {
  Index net = 0, most = 0;

  constexpr MemoryCourse() = default;
  /// Bytes that are taken (above 0) or given back, one after the other.
  constexpr MemoryCourse(std::initializer_list<Index> steps) {
    for (const Index bytes : steps) most = std::max(most, net += bytes);
  }
  /// One after the other.
  friend constexpr MemoryCourse operator+(const MemoryCourse& a, const MemoryCourse& b) {
    MemoryCourse both;
    both.net = a.net + b.net;
    both.most = std::max(a.most, a.net + b.most);
    return both;
  }
  /// The same so many times.
  friend constexpr MemoryCourse operator*(Index times, const MemoryCourse& a) {
    MemoryCourse all;
    all.net = times * a.net;
    all.most = times > 0 ? std::max(a.most, (times - 1) * a.net + a.most) : 0;
    return all;
  }
  constexpr MemoryCourse& operator+=(const MemoryCourse& next) { return *this = *this + next; }
};

/// How ranks divide the layers of a model.
struct DividedLayers {
  bool parallel = false;       ///< of the policy TensorParallel, on one rank or several
  Index row_parts = 1;         ///< in which the rows between products are divided
  Index most_words = 0;        ///< the most words of the vocabulary that a rank has
  bool gathers_again = false;  ///< rows that products read, in the backward pass
};

/// What the passes of one micro-batch do to the memory of values: tensors, what is kept for backward passes,
/// and the logits at hand, in whole blocks of the pool, as `MemoryStatistics::value_bytes_in_use` counts them
/// on the CPU. Not counted is scratch memory, which depends on the threads: packed operands of products,
/// tiles of attention, and records of the tape.
class PassMemory {
 public:
  /// A rank's part of a model (its heads, feed-forward columns and words) for so many sequences.
  PassMemory(const ModelSize& part, Index sequences, Precision precision, burrow::Rematerialization choice,
             const DividedLayers& divided = {});

  /// Values that enter a block, and their gradient.
  Index hidden() const { return x_; }
  /// The encodings of positions, made in the first pass and kept.
  Index encodings() const { return encodings_; }
  /// The value of the loss, which stays after `loss_backward` for whoever asked for it.
  Index loss_value() const;

  /// From tokens to the values that enter the blocks, and back.
  MemoryCourse embed() const;
  MemoryCourse embed_backward() const;
  /// So many neighbouring blocks, and back: the gradient of their result becomes that of their input, which
  /// is given back.
  MemoryCourse forward(Index blocks) const;
  MemoryCourse backward(Index blocks) const;
  /// The last norm and the loss, and back to the gradient of what entered, which is given back.
  MemoryCourse loss() const;
  MemoryCourse loss_backward() const;

 private:
  MemoryCourse recorded_block() const;    // with what is kept for its backward pass
  MemoryCourse unrecorded_block() const;  // its result is all that stays
  MemoryCourse block_backward() const;
  MemoryCourse sum_backward() const;
  MemoryCourse attention_backward() const;
  MemoryCourse norm_backward(const MemoryCourse& products) const;
  Index gradient(Index parameters) const;
  Index rows() const { return sequences_ * size_.context; }

  ModelSize size_;
  Index sequences_, element_;
  Precision precision_;
  burrow::Rematerialization choice_;
  DividedLayers divided_;
  bool again_;               // values are computed again
  Index x_, moments_;        // values between products; numbers that norms keep
  Index whole_, gathered_;   // the rows of all ranks; where products gather them
  Index heads_, positions_;  // of queries, keys, values or results; of projected positions
  Index log_sums_, inner_;   // of attention; of the feed-forward layer
  Index offsets_;            // u or v as attention takes it, where that is a copy
  Index vector_;             // the gradient of a norm or bias before it is added to the flat one
  Index vector_sum_;         // its sum over ranks that have other rows
  Index row_, inner_row_, encodings_;
};

/// Bytes of values that the passes over `sequences` sequences take at once on one rank, beside parameters and
/// gradients of parameters: exact on the CPU.
Index pass_bytes(const ModelSize& size, Index sequences, Precision precision,
                 burrow::Rematerialization choice);

}  // namespace gopher
