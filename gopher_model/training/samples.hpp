// The texts that a trained model writes at the end of a run.
#pragma once

#include <string>
#include <vector>

#include "gopher_model/generation/decoder.hpp"
#include "gopher_model/training/corpus.hpp"
#include "gopher_model/training/run_configuration.hpp"

namespace gopher {

/// Continues the configured prompts; without one, starts new documents.
template <class Model>
std::string sample_texts(const Model& model, const RunConfiguration& configuration,
                         const Tokenizer& tokenizer) {
  const std::vector<std::string> fallback{""};
  std::string all;
  Index number = 0;
  for (const std::string& prompt :
       configuration.sample_prompts.empty() ? fallback : configuration.sample_prompts)
    for (Index i = 0; i < configuration.sample_count; ++i) {
      std::string text = prompt;
      const auto key =
          key_for(configuration.seed, Purpose::sampling).fold_in(static_cast<std::uint64_t>(number++));
      continue_text(model, tokenizer, prompt, configuration.sample_tokens,
                    {.temperature = 0.8, .top_p = 0.95}, key, [&](std::string_view piece) { text += piece; });
      all += "--- sample " + std::to_string(number) + " ---\n" + text + "\n";
    }
  return all;
}

}  // namespace gopher
