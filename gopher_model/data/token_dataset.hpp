// A long row of tokens: all documents of a data set, each followed by the end token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "gopher_model/data/documents.hpp"
#include "gopher_model/tokenizer/tokenizer.hpp"

namespace gopher {

/// Tokens in memory or in a mapped file. Cheap to copy: copies share the tokens.
class TokenDataset {
 public:
  using View = std::variant<std::span<const std::int32_t>, std::span<const std::uint16_t>>;

  /// The tokens of `documents`, each document followed by `tokenizer.eos()`.
  static TokenDataset encode(const Tokenizer& tokenizer, std::span<const Document> documents);

  /// `tokens` below `vocabulary` that stand for `bytes` bytes of text. Throws ValueError for other tokens.
  TokenDataset(std::vector<std::int32_t> tokens, std::int64_t vocabulary, std::uint64_t bytes);

  /// Tokens that `owner` keeps alive; they must be below `vocabulary`.
  TokenDataset(View tokens, std::shared_ptr<const void> owner, std::int64_t vocabulary, std::uint64_t bytes);

  /// Number of tokens, those between documents included.
  std::uint64_t size() const;

  /// Length of the text in bytes, without the end tokens: the denominator of bits per byte.
  std::uint64_t bytes() const { return bytes_; }

  std::int64_t vocabulary() const { return vocabulary_; }

  /// Copies the `out.size()` tokens from `first` on; past the last token it goes on with the first one.
  void copy(std::uint64_t first, std::span<std::int32_t> out) const;

  /// Lets the system read the `count` tokens from `first` on, up to the last one, from their file, without
  /// waiting for it.
  void will_read(std::uint64_t first, std::size_t count) const;

  /// The tokens as they are stored.
  const View& view() const { return tokens_; }

 private:
  View tokens_;
  std::shared_ptr<const void> owner_;
  std::int64_t vocabulary_;
  std::uint64_t bytes_;
};

/// The documents that `TokenDataset::encode` was given, without their names; normalized where the tokenizer
/// normalizes.
std::vector<Document> decoded(const Tokenizer& tokenizer, const TokenDataset& dataset);

}  // namespace gopher
