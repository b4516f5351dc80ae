#include "gopher_model/data/loader.hpp"

#include <algorithm>
#include <burrow/core/error.hpp>
#include <string>
#include <utility>

#include "gopher_model/data/permutation.hpp"

namespace gopher {

namespace {

void check_context(std::int64_t context) {
  if (context >= 1) return;
  throw burrow::ConfigError("The context cannot be " + std::to_string(context) +
                            " tokens; it must be at least 1.");
}

void check_spans(std::int64_t context, std::size_t inputs, std::size_t targets) {
  const auto length = static_cast<std::size_t>(context);
  if (inputs == length && targets == length) return;
  throw burrow::ValueError("A window of " + std::to_string(context) + " tokens cannot be written to " +
                           std::to_string(inputs) + " inputs and " + std::to_string(targets) + " targets.");
}

}  // namespace

Loader::Loader(TokenDataset dataset, std::int64_t context, burrow::Key key)
    : dataset_{std::move(dataset)}, context_{context}, key_{key} {
  check_context(context);
  const std::uint64_t size = dataset_.size();
  if (size < static_cast<std::uint64_t>(context) + 1) {
    throw burrow::ConfigError(
        "The text has " + std::to_string(size) + " tokens, too few for a context of " +
        std::to_string(context) + "; " +
        (size < 2 ? "no context fits" : "the longest that fits is " + std::to_string(size - 1)) + ".");
  }
  samples_per_epoch_ = size / static_cast<std::uint64_t>(context);
}

std::uint64_t Loader::start(std::uint64_t number) const {
  const burrow::Key epoch = key_.fold_in(number / samples_per_epoch_);
  const Permutation shuffled{epoch.fold_in(0), samples_per_epoch_};
  const std::uint64_t window = shuffled(number % samples_per_epoch_);
  const std::uint64_t first = epoch.fold_in(1).value() % dataset_.size();
  return (first + window * static_cast<std::uint64_t>(context_)) % dataset_.size();
}

void Loader::sample(std::uint64_t number, std::span<std::int32_t> inputs,
                    std::span<std::int32_t> targets) const {
  check_spans(context_, inputs.size(), targets.size());
  const std::uint64_t first = start(number);
  dataset_.copy(first, inputs);
  dataset_.copy(first + 1, targets);
}

void Loader::will_read(std::uint64_t number) const {
  dataset_.will_read(start(number), static_cast<std::size_t>(context_) + 1);
}

EvaluationWindows::EvaluationWindows(TokenDataset dataset, std::int64_t context, std::int32_t first_token)
    : dataset_{std::move(dataset)}, context_{context}, first_token_{first_token} {
  check_context(context);
  if (dataset_.size() == 0) throw burrow::ConfigError("The held-out text has no tokens to evaluate on.");
}

std::uint64_t EvaluationWindows::count() const {
  const auto length = static_cast<std::uint64_t>(context_);
  return (dataset_.size() + length - 1) / length;
}

std::int64_t EvaluationWindows::window(std::uint64_t number, std::span<std::int32_t> inputs,
                                       std::span<std::int32_t> targets) const {
  check_spans(context_, inputs.size(), targets.size());
  if (number >= count()) {
    throw burrow::ValueError("There is no evaluation window " + std::to_string(number) + "; there are " +
                             std::to_string(count()) + ".");
  }
  const auto length = static_cast<std::uint64_t>(context_);
  const std::uint64_t first = number * length;
  const auto used = static_cast<std::size_t>(std::min(length, dataset_.size() - first));
  dataset_.copy(first, targets.first(used));
  std::ranges::fill(targets.subspan(used), ignored_target);
  inputs[0] = first_token_;
  if (number > 0) dataset_.copy(first - 1, inputs.first(1));
  std::ranges::copy(targets.first(used - 1), inputs.begin() + 1);
  std::ranges::fill(inputs.subspan(used), first_token_);
  return static_cast<std::int64_t>(used);
}

std::uint64_t text_bytes(const Tokenizer& tokenizer, std::span<const std::int32_t> targets) {
  std::uint64_t bytes = 0;
  for (const auto target : targets) {
    if (target != ignored_target) bytes += tokenizer.bytes(target).size();
  }
  return bytes;
}

}  // namespace gopher
