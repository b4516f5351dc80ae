// The tokenizer's file: a SentencePiece model, which other SentencePiece programs read, followed by a seal.
#pragma once

#include <string>
#include <string_view>

#include "gopher_model/tokenizer/tokenizer.hpp"

namespace gopher {

/// `model` with a seal appended. The seal is a protobuf field that SentencePiece skips; it holds the
/// normalization and a checksum of everything before it.
std::string seal(std::string model, Normalization normalization);

/// The normalization written in the seal of `sealed`. Throws IoError, starting with `origin`, when there is
/// no seal (a cut or foreign file) or the checksum differs.
Normalization check_seal(std::string_view sealed, const std::string& origin);

}  // namespace gopher
