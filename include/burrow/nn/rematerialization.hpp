// Rematerialization: what repeated blocks keep for the backward pass, and what is computed again there.
#pragma once

#include <limits>
#include <string>
#include <string_view>

#include <burrow/core/error.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// What blocks keep for the backward pass. Losses and gradients have the same bits whatever is chosen, but
/// for gradients of narrow types that go through a `feed_forward` on a GPU; see docs/guide/autodiff.md for
/// what each costs.
class Rematerialization {
 public:
  /// `selective`.
  constexpr Rematerialization() = default;

  /// All values are kept.
  static constexpr Rematerialization none() { return {false, 0}; }
  /// Values that cost little beside the products that use them are computed again: norms, activations and
  /// other elementwise results.
  static constexpr Rematerialization selective() { return {true, 0}; }
  /// Each block keeps its input and is computed again from it.
  static constexpr Rematerialization block() { return {true, 1}; }
  /// Groups of that many neighbouring blocks keep the input of the first; 1 is `block`.
  static constexpr Rematerialization every(Index blocks) { return {true, blocks}; }

  /// Blocks that are computed again together; 0 where blocks are not.
  constexpr Index blocks() const { return blocks_; }
  /// False where all values are kept.
  constexpr bool recomputes_values() const { return recomputes_values_; }

  /// "none", "selective", "block" or "every=4".
  std::string text() const {
    if (blocks_ > 1) return "every=" + std::to_string(blocks_);
    return blocks_ == 1 ? "block" : recomputes_values_ ? "selective" : "none";
  }

  friend constexpr bool operator==(const Rematerialization&, const Rematerialization&) = default;

 private:
  constexpr Rematerialization(bool recomputes_values, Index blocks)
      : recomputes_values_{recomputes_values}, blocks_{blocks} {}

  bool recomputes_values_ = true;
  Index blocks_ = 0;
};

/// The choice that `text()` writes so; throws ConfigError for any other text.
inline Rematerialization parse_rematerialization(std::string_view text) {
  if (text == "none") return Rematerialization::none();
  if (text == "selective") return Rematerialization::selective();
  if (text == "block") return Rematerialization::block();
  constexpr std::string_view prefix = "every=";
  if (text.starts_with(prefix)) {
    constexpr Index most = std::numeric_limits<Index>::max() / 10 - 1;
    Index blocks = 0;
    bool number = true;
    for (const char c : text.substr(prefix.size())) {
      number = number && c >= '0' && c <= '9' && blocks <= most;
      if (number) blocks = 10 * blocks + (c - '0');
    }
    if (number && blocks > 0) return Rematerialization::every(blocks);
  }
  throw ConfigError("rematerialisation '" + std::string(text) +
                    "' is none of none, selective, block and every=N with a number N of blocks above 0");
}

}  // namespace burrow
