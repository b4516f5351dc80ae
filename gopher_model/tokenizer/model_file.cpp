#include "gopher_model/tokenizer/model_file.hpp"

#include <burrow/core/error.hpp>
#include <cstddef>
#include <cstdint>

#include "gopher_model/tokenizer/checksum.hpp"

namespace gopher {

namespace {

// Protobuf field 1000, 17 bytes long: a mark of seven bytes with the version, the normalization, nine bytes
// with the checksum.
constexpr std::string_view seal_head = "\xC2\x3E\x11gopher\x01";
constexpr std::size_t seal_bytes = seal_head.size() + 1 + 9;

std::string checksum_bytes(std::string_view bytes) {
  std::string text;
  std::uint64_t rest = checksum(bytes);
  for (int i = 0; i < 9; ++i, rest >>= 7) text += static_cast<char>(rest & 0x7Fu);
  return text;
}

}  // namespace

std::string seal(std::string model, Normalization normalization) {
  model += seal_head;
  model += static_cast<char>(normalization);
  model += checksum_bytes(model);
  return model;
}

Normalization check_seal(std::string_view sealed, const std::string& origin) {
  const std::size_t body = sealed.size() < seal_bytes ? 0 : sealed.size() - seal_bytes;
  const auto foot = sealed.substr(body);
  if (!foot.starts_with(seal_head) || foot.size() != seal_bytes) {
    throw burrow::IoError(origin + " is not a tokenizer written by gopher, or its end is missing.");
  }
  if (foot.substr(seal_head.size() + 1) != checksum_bytes(sealed.substr(0, sealed.size() - 9))) {
    throw burrow::IoError(origin + " is damaged: its checksum does not match its contents.");
  }
  const char normalization = foot[seal_head.size()];
  if (normalization < 0 || normalization > static_cast<char>(Normalization::nfkc)) {
    throw burrow::IoError(origin + " uses a normalization that this version does not know.");
  }
  return static_cast<Normalization>(normalization);
}

}  // namespace gopher
