#include "gopher_model/tokenizer/tokenizer.hpp"

#include <sentencepiece_processor.h>

#include <array>
#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>
#include <charconv>
#include <cstddef>
#include <utility>

#include "gopher_model/tokenizer/model_file.hpp"
#include "gopher_model/tokenizer/word_cache.hpp"
#include "gopher_model/tokenizer/words.hpp"

namespace gopher {

struct Tokenizer::State {
  State(std::string model, const std::string& origin);

  void encode_word(std::string_view word, std::vector<std::int32_t>& tokens) const;
  void encode_bytes(std::string_view word, std::vector<std::int32_t>& tokens) const;
  std::string_view bytes(std::int32_t token) const {
    const auto at = static_cast<std::size_t>(token);
    return std::string_view(text).substr(begin[at], begin[at + 1] - begin[at]);
  }

  std::string serialized;
  Normalization normalization;
  sentencepiece::SentencePieceProcessor processor;
  std::string text;  // the bytes of all tokens, one after another
  std::vector<std::size_t> begin;
  std::array<std::int32_t, 256> byte_token{};
  mutable WordCachePool caches;

 private:
  void add_token(int id, const std::string& origin);
};

namespace {

std::string with_spaces(std::string_view piece) {
  constexpr std::string_view space = "\xE2\x96\x81";
  std::string text;
  while (!piece.empty()) {
    const bool is_space = piece.starts_with(space);
    text += is_space ? ' ' : piece[0];
    piece.remove_prefix(is_space ? space.size() : 1);
  }
  return text;
}

}  // namespace

Tokenizer::State::State(std::string model, const std::string& origin)
    : serialized{std::move(model)}, normalization{check_seal(serialized, origin)} {
  const auto status = processor.LoadFromSerializedProto(serialized);
  if (!status.ok()) throw burrow::IoError(origin + " is not a SentencePiece model: " + status.message());
  if (processor.unk_id() != 0 || processor.bos_id() != 1 || processor.eos_id() != 2) {
    throw burrow::IoError(origin + " does not number its special tokens 0 (unknown), 1 (bos) and 2 (eos).");
  }
  byte_token.fill(-1);
  begin.push_back(0);
  for (int id = 0; id < processor.GetPieceSize(); ++id) add_token(id, origin);
  for (const auto token : byte_token) {
    if (token < 0) throw burrow::IoError(origin + " lacks tokens for single bytes.");
  }
}

void Tokenizer::State::add_token(int id, const std::string& origin) {
  const std::string& piece = processor.IdToPiece(id);
  if (processor.IsByte(id)) {
    unsigned value = 0;
    const auto parsed = std::from_chars(piece.data() + 3, piece.data() + piece.size(), value, 16);
    if (piece.size() != 6 || parsed.ec != std::errc{} || value > 255) {
      throw burrow::IoError(origin + " has a byte token of the unknown form " + piece + ".");
    }
    byte_token[value] = id;
    text += static_cast<char>(value);
  } else if (!processor.IsControl(id) && !processor.IsUnknown(id)) {
    text += with_spaces(piece);
  }
  begin.push_back(text.size());
}

void Tokenizer::State::encode_bytes(std::string_view word, std::vector<std::int32_t>& tokens) const {
  for (const char c : word) tokens.push_back(byte_token[static_cast<unsigned char>(c)]);
}

void Tokenizer::State::encode_word(std::string_view word, std::vector<std::int32_t>& tokens) const {
  std::vector<int> ids;
  const bool encoded = processor.Encode(word, &ids).ok();
  std::string decoded;
  for (const int id : ids) decoded += bytes(id);
  if (encoded && (normalization != Normalization::none || decoded == word)) {
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  } else {
    encode_bytes(word, tokens);
  }
}

Tokenizer Tokenizer::deserialize(std::string bytes, const std::string& origin) {
  return Tokenizer{std::make_shared<const State>(std::move(bytes), origin)};
}

Tokenizer Tokenizer::load(const std::string& path) { return deserialize(burrow::read_text(path), path); }

void Tokenizer::save(const std::string& path) const { burrow::write_atomically(path, state_->serialized); }

const std::string& Tokenizer::serialized() const { return state_->serialized; }

void Tokenizer::encode(std::string_view text, std::vector<std::int32_t>& tokens) const {
  const auto cache = state_->caches.borrow();
  std::vector<std::int32_t> encoded;
  while (!text.empty()) {
    const Word word = first_word(text);
    text.remove_prefix(word.text.size());
    if (word.raw) {
      state_->encode_bytes(word.text, tokens);
    } else if (const auto* known = cache->find(word.text)) {
      tokens.insert(tokens.end(), known->begin(), known->end());
    } else {
      encoded.clear();
      state_->encode_word(word.text, encoded);
      tokens.insert(tokens.end(), encoded.begin(), encoded.end());
      cache->insert(word.text, encoded);
    }
  }
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<std::int32_t> tokens;
  encode(text, tokens);
  return tokens;
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const {
  std::string text;
  for (const auto token : tokens) text += bytes(token);
  return text;
}

std::string_view Tokenizer::bytes(std::int32_t token) const {
  if (token < 0 || token >= vocabulary()) {
    throw burrow::ValueError("Token " + std::to_string(token) + " is outside of the vocabulary of " +
                             std::to_string(vocabulary()) + " tokens.");
  }
  return state_->bytes(token);
}

int Tokenizer::vocabulary() const { return static_cast<int>(state_->begin.size()) - 1; }

Normalization Tokenizer::normalization() const { return state_->normalization; }

}  // namespace gopher
