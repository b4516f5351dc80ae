// The loss of a model on held-out text, which the ranks that share a batch score together.
#pragma once

#include <algorithm>
#include <numbers>
#include <utility>

#include <burrow/distributed/data_parallel.hpp>
#include <burrow/nn/clone.hpp>

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

/// Scores the first `count` windows, `rows` at a time, with the fused kernels of training but without a
/// trace. All of `ranks` call it, and have the same result.
template <class Model, burrow::Communicator C>
HeldOutLoss held_out_loss(const Model& model, const EvaluationWindows& windows, const Tokenizer& tokenizer,
                          Index count, Index rows, const C& ranks) {
  using Tokens = Batch::Tokens;
  const burrow::Partition parts{count, ranks.size()};
  const Index last = parts.end(ranks.rank());
  const auto length = static_cast<std::size_t>(windows.context());
  HeldOutLoss result;
  for (Index first = parts.begin(ranks.rank()); first < last; first += rows) {
    const burrow::Shape<burrow::dyn, burrow::dyn> shape{{std::min(rows, last - first), windows.context()}};
    Tokens inputs{shape}, targets{shape};
    for (std::size_t i = 0; i < static_cast<std::size_t>(shape[0]); ++i)
      windows.window(static_cast<std::uint64_t>(first) + i, inputs.values().subspan(i * length, length),
                     targets.values().subspan(i * length, length));
    using D = burrow::detail::module_device_of<Model>;
    const auto terms = model.loss(burrow::to<D>(inputs), burrow::to<D>(targets));
    result.loss += {static_cast<double>(terms.sum.item()), terms.count};
    result.bytes += static_cast<Index>(text_bytes(tokenizer, std::as_const(targets).values()));
  }
  result.loss = all_reduce(ranks, result.loss);
  result.bytes = ranks.all_reduce(result.bytes);
  return result;
}

}  // namespace gopher
