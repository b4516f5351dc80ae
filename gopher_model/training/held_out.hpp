// The loss of a model on held-out text, which the ranks that share a batch score together.
#pragma once

#include <algorithm>
#include <numbers>

#include <burrow/distributed/data_parallel.hpp>
#include <burrow/distributed/mesh.hpp>

#include "gopher_model/data/batch_feed.hpp"
#include "gopher_model/tokenizer/tokenizer.hpp"

namespace gopher {

using burrow::Index;

/// The summed loss over held-out tokens, in nats, and the bytes of their text.
struct HeldOutLoss {
  burrow::LossSum loss;
  Index bytes = 0;

  double bits_per_byte() const { return loss.sum / (std::numbers::ln2 * static_cast<double>(bytes)); }
};

/// The windows [begin, end).
inline Batch held_out_batch(const EvaluationWindows& windows, Index begin, Index end) {
  const burrow::Shape<burrow::dyn, burrow::dyn> shape{{end - begin, windows.context()}};
  Batch batch{Batch::Tokens{shape}, Batch::Tokens{shape}};
  const auto length = static_cast<std::size_t>(windows.context());
  for (std::size_t i = 0; i < static_cast<std::size_t>(shape[0]); ++i)
    windows.window(static_cast<std::uint64_t>(begin) + i, batch.inputs.values().subspan(i * length, length),
                   batch.targets.values().subspan(i * length, length));
  return batch;
}

/// A batch without targets, for ranks that have no window left while others have: all make as many passes.
inline Batch uncounted_batch(const EvaluationWindows& windows) {
  Batch batch = held_out_batch(windows, 0, 1);
  std::fill_n(batch.targets.data(), batch.targets.size(), -1);
  return batch;
}

/// Scores the first `count` windows, `rows` at a time, with the fused kernels of training but without a
/// trace: score(passes, batch, found) takes batch(m) for m = 0 ... passes - 1 through the model and calls
/// found(batch(m), loss) on the rank of each pipeline that ends it. All ranks call it, and have the same
/// result.
template <class Score, burrow::Communicator C>
HeldOutLoss held_out_loss(const Score& score, const EvaluationWindows& windows, const Tokenizer& tokenizer,
                          Index count, Index rows, const burrow::Mesh<C>& ranks) {
  const burrow::Partition parts{count, ranks.data().size()};
  const Index first = parts.begin(ranks.data().rank()), last = parts.end(ranks.data().rank());
  const Index most = (count + parts.ranks() - 1) / parts.ranks();
  const auto batch = [&](Index m) {
    const Index begin = first + m * rows;
    return begin < last ? held_out_batch(windows, begin, std::min(begin + rows, last))
                        : uncounted_batch(windows);
  };
  HeldOutLoss result;
  score((most + rows - 1) / rows, batch, [&](const Batch& scored, const auto& terms) {
    if (terms.count == 0) return;
    result.loss += {static_cast<double>(terms.sum.item()), terms.count};
    result.bytes += static_cast<Index>(text_bytes(tokenizer, scored.targets.values()));
  });
  for (const C* const group : {&ranks.data(), &ranks.pipeline()}) {
    result.loss = all_reduce(*group, result.loss);
    result.bytes = group->all_reduce(result.bytes);
  }
  return result;
}

}  // namespace gopher
