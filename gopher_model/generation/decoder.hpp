// Continues a text with a model, token by token, with cached keys, values and projected relative positions.
#pragma once

#include <functional>

#include "gopher_model/generation/sampling.hpp"
#include "gopher_model/model/gopher.hpp"
#include "gopher_model/tokenizer/tokenizer.hpp"

namespace gopher {

/// Called with the bytes of each new token.
using TokenSink = std::function<void(std::string_view)>;

/// Draws up to `count` tokens after `prompt` and hands each to `sink`; stops early at the end token. An empty
/// prompt starts a new document. Token i is drawn with counter i of the key. Returns the number of tokens
/// drawn.
template <class Model>
Index continue_text(const Model& model, const Tokenizer& tokenizer, std::string_view prompt, Index count,
                    const SamplingOptions& options, burrow::Key key, const TokenSink& sink) {
  std::vector<std::int32_t> tokens{tokenizer.eos()};
  tokenizer.encode(prompt, tokens);
  auto caches = model.caches(static_cast<Index>(tokens.size()) + count);
  const auto as_tensor = [](std::span<const std::int32_t> ids) {
    return Tensor<std::int32_t, Shape<1, dyn>>{Shape<1, dyn>{{1, static_cast<Index>(ids.size())}}, ids};
  };
  Index drawn = 0;
  for (std::span<const std::int32_t> next = tokens; drawn < count; ++drawn) {
    const Tensor logits = cast<float>(model.next(as_tensor(next), caches));
    tokens = {sample_token(logits.values(), options, key, static_cast<std::uint64_t>(drawn))};
    if (tokens[0] == tokenizer.eos()) break;
    sink(tokenizer.bytes(tokens[0]));
    next = tokens;
  }
  return drawn;
}

}  // namespace gopher
