// Continues a text with a model, token by token, with cached keys, values and projected relative positions.
#pragma once

#include <chrono>
#include <functional>
#include <utility>

#include "gopher_model/generation/sampling.hpp"
#include "gopher_model/model/gopher.hpp"
#include "gopher_model/tokenizer/tokenizer.hpp"

namespace gopher {

/// Called with the bytes of each new token.
using TokenSink = std::function<void(std::string_view)>;

/// What was drawn, and what it took.
struct Continuation {
  Index tokens = 0;           ///< drawn
  Index prompt_tokens = 0;    ///< computed at once, before the first was drawn
  double prompt_seconds = 0;  ///< for those
  Index decoded = 0;          ///< tokens computed one by one: all that were drawn, but the last
  double seconds = 0;         ///< for those, with drawing and handing over
  Index cached = 0;           ///< tokens in the cache before each of those, summed

  Continuation& operator+=(const Continuation& other) {
    tokens += other.tokens;
    prompt_tokens += other.prompt_tokens;
    prompt_seconds += other.prompt_seconds;
    decoded += other.decoded;
    seconds += other.seconds;
    cached += other.cached;
    return *this;
  }
};

/// Draws up to `count` tokens after `prompt`, on the model's device, and hands each to `sink`; stops early at
/// the end token. An empty prompt starts a new document. Token i is drawn with counter i of the key.
template <class Model>
Continuation continue_text(const Model& model, const Tokenizer& tokenizer, std::string_view prompt,
                           Index count, const SamplingOptions& options, burrow::Key key,
                           const TokenSink& sink) {
  using Clock = std::chrono::steady_clock;
  using D = burrow::detail::module_device_of<Model>;
  std::vector<std::int32_t> tokens{tokenizer.eos()};
  tokenizer.encode(prompt, tokens);
  auto caches = model.caches(static_cast<Index>(tokens.size()) + count);
  const auto as_tensor = [](std::span<const std::int32_t> ids) {
    const Tensor<std::int32_t, Shape<1, dyn>> row{Shape<1, dyn>{{1, static_cast<Index>(ids.size())}}, ids};
    return burrow::to<D>(row);
  };
  Continuation all;
  all.prompt_tokens = static_cast<Index>(tokens.size());
  auto start = Clock::now();
  for (; all.tokens < count; ++all.tokens) {
    const Index length = caches.empty() ? 0 : caches[0].length;
    const Tensor logits = cast<float>(model.next(as_tensor(tokens), caches));
    tokens.assign(1, sample_token(logits, options, key, static_cast<std::uint64_t>(all.tokens)));
    const bool ends = tokens[0] == tokenizer.eos();
    if (!ends) sink(tokenizer.bytes(tokens[0]));
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - std::exchange(start, now)).count();
    if (all.tokens == 0) {
      all.prompt_seconds = seconds;
    } else {
      ++all.decoded;
      all.seconds += seconds;
      all.cached += length;
    }
    if (ends) break;
  }
  return all;
}

// What decodes is compiled once for each policy, in decoder_*.cpp; on a GPU, see decoder.cuh.
extern template struct Gopher<run_time_size, Float32<Cpu>>;
extern template struct Gopher<run_time_size, MixedBf16<Cpu>>;
extern template struct Gopher<run_time_size, Bf16<Cpu>>;

}  // namespace gopher
