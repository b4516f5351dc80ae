// Text to tokens and back: byte pair encoding with a back-off to bytes (SentencePiece), exact for every byte
// string.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gopher {

/// What happens to text before it is encoded. Gopher applied Unicode's NFKC, which loses the difference
/// between, say, a ligature and its letters: decoding then gives the text with each of its words normalized.
enum class Normalization : char { none = 0, nfkc = 1 };

/// How a tokenizer is trained. Of Gopher's, the vocabulary of 32,000 pieces, the back-off to bytes and NFKC
/// are known; the rest is our choice.
struct TokenizerOptions {
  /// Number of tokens, of which three are special (unknown, beginning, end) and 256 stand for bytes. A text
  /// too small for as many gives a smaller vocabulary, a multiple of 64 where that is possible.
  int vocabulary = 32'000;
  Normalization normalization = Normalization::none;
  /// Every digit is a token of its own, so that numbers of one length are split alike.
  bool split_digits = true;
  /// The share of all characters that gets tokens of its own; rarer ones are written as bytes.
  double character_coverage = 0.9995;
  /// Of longer texts, chunks of 64 KiB are drawn with `seed` until about this many bytes are used.
  std::uint64_t training_bytes = std::uint64_t{128} << 20;
  std::uint64_t seed = 0;
  /// The vocabulary is at most one token for this many bytes of text; 0 sets no such limit.
  std::uint64_t bytes_per_token = 128;
};

/// A trained tokenizer. Cheap to copy, and safe to use from several threads.
class Tokenizer {
 public:
  /// Trains on `texts`; the result depends only on them and the options. Throws ConfigError for options out
  /// of range and ValueError when there is no text.
  static Tokenizer train(std::span<const std::string_view> texts, const TokenizerOptions& options = {});
  static Tokenizer train(std::string_view text, const TokenizerOptions& options = {});

  /// Reads a file that `save` wrote. Throws IoError when it is missing, damaged or something else.
  static Tokenizer load(const std::string& path);

  /// Writes the tokenizer to `path`, whole or not at all. Other SentencePiece programs can read the file.
  void save(const std::string& path) const;

  /// The bytes that `save` writes, to store them in a checkpoint.
  const std::string& serialized() const;

  /// The tokenizer whose `serialized()` is `bytes`; error messages start with `origin`.
  static Tokenizer deserialize(std::string bytes, const std::string& origin);

  /// The tokens of `text`, any bytes at all. Never gives a special token. Without normalization,
  /// decode(encode(text)) == text.
  std::vector<std::int32_t> encode(std::string_view text) const;

  /// Appends the tokens of `text` to `tokens`.
  void encode(std::string_view text, std::vector<std::int32_t>& tokens) const;

  /// The text of `tokens`; special tokens give nothing. Throws ValueError for a token outside of the
  /// vocabulary.
  std::string decode(std::span<const std::int32_t> tokens) const;

  /// The bytes of one token. Decoding is concatenating them; a character may be spread over several tokens.
  /// The view lives as long as the tokenizer and its copies. Throws ValueError outside of the vocabulary.
  std::string_view bytes(std::int32_t token) const;

  /// Number of tokens; they are 0 .. vocabulary() - 1.
  int vocabulary() const;
  std::int32_t unknown() const { return 0; }
  std::int32_t bos() const { return 1; }
  std::int32_t eos() const { return 2; }

  Normalization normalization() const;

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state) : state_{std::move(state)} {}

  std::shared_ptr<const State> state_;
};

}  // namespace gopher
