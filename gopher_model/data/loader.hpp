// Training samples and evaluation windows of a token data set, addressed by number; no state to store.
#pragma once

#include <burrow/core/key.hpp>
#include <cstdint>
#include <span>

#include "gopher_model/data/token_dataset.hpp"

namespace gopher {

/// Training samples. Sample n is a window of context + 1 tokens, and depends on the data set, the key and n
/// only, so that a run resumes from its sample count alone.
///
/// An epoch cuts the tokens, closed to a ring, into disjoint windows of `context` targets. Where the first
/// one starts and their order are drawn anew for each epoch; fewer than `context` tokens are left out of one.
class Loader {
 public:
  /// Throws ConfigError when the text is shorter than a window.
  Loader(TokenDataset dataset, std::int64_t context, burrow::Key key);

  /// Samples in one epoch.
  std::uint64_t samples_per_epoch() const { return samples_per_epoch_; }

  /// Position in the data set of the first input of sample `number`.
  std::uint64_t start(std::uint64_t number) const;

  /// Writes sample `number`: `context` input tokens, and for each the token that follows it.
  /// Throws ValueError when a span is not `context` long.
  void sample(std::uint64_t number, std::span<std::int32_t> inputs, std::span<std::int32_t> targets) const;

  /// Lets the system read sample `number` from its file, without waiting for it.
  void will_read(std::uint64_t number) const;

  std::int64_t context() const { return context_; }
  const TokenDataset& dataset() const { return dataset_; }

 private:
  TokenDataset dataset_;
  std::int64_t context_;
  burrow::Key key_;
  std::uint64_t samples_per_epoch_;
};

/// The target that a loss leaves out.
inline constexpr std::int32_t ignored_target = -1;

/// Disjoint windows over held-out tokens that together predict every token exactly once. The input of a
/// window starts with the token before its first target; that of the first window with `first_token` (the end
/// token: a document follows it).
class EvaluationWindows {
 public:
  /// Throws ConfigError when there are no tokens or `context` is not positive.
  EvaluationWindows(TokenDataset dataset, std::int64_t context, std::int32_t first_token);

  std::uint64_t count() const;

  /// Writes window `number`; after the last token inputs are `first_token` and targets are `ignored_target`.
  /// Returns the number of targets that count. Throws ValueError when a span is not `context` long or
  /// `number` is not below count().
  std::int64_t window(std::uint64_t number, std::span<std::int32_t> inputs,
                      std::span<std::int32_t> targets) const;

  /// Length of the text in bytes: bits per byte = sum of -log p over all windows / (ln 2 * bytes()).
  std::uint64_t bytes() const { return dataset_.bytes(); }

  std::int64_t context() const { return context_; }
  const TokenDataset& dataset() const { return dataset_; }

 private:
  TokenDataset dataset_;
  std::int64_t context_;
  std::int32_t first_token_;
};

/// Length in bytes of the text of `targets`, ignored targets left out: the denominator when only some
/// evaluation windows are scored.
std::uint64_t text_bytes(const Tokenizer& tokenizer, std::span<const std::int32_t> targets);

}  // namespace gopher
