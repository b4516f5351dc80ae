// Tokens on disk, so that a text is encoded once: a header with a checksum, then the tokens, mapped on
// reading.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "gopher_model/data/token_dataset.hpp"

namespace gopher {

/// What a shard was made from: differs when a text, their order, or the tokenizer differs.
std::uint64_t shard_source(const Tokenizer& tokenizer, std::span<const Document> documents);

/// Writes `dataset` to `path`, whole or not at all (IoError): two bytes a token up to a vocabulary of 65,536,
/// four above.
void write_shard(const std::string& path, const TokenDataset& dataset, std::uint64_t source);

/// A shard that was read, and the source it was written with.
struct Shard {
  TokenDataset dataset;
  std::uint64_t source;
};

/// Maps the file at `path` and checks all of it. Throws IoError when it is missing, cut, damaged or something
/// else.
Shard read_shard(const std::string& path);

/// The tokens of `documents`, from the shard at `path` when it was made from the same source; otherwise they
/// are encoded and the shard is written. A file there that is not a sound shard is neither believed nor
/// overwritten: IoError, which says to remove it.
TokenDataset cached_tokens(const std::string& path, const Tokenizer& tokenizer,
                           std::span<const Document> documents);

}  // namespace gopher
