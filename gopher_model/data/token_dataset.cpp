#include "gopher_model/data/token_dataset.hpp"

#include <algorithm>
#include <burrow/core/error.hpp>
#include <string>
#include <utility>

namespace gopher {

TokenDataset TokenDataset::encode(const Tokenizer& tokenizer, std::span<const Document> documents) {
  std::vector<std::int32_t> tokens;
  for (const auto& document : documents) {
    tokenizer.encode(document.text, tokens);
    tokens.push_back(tokenizer.eos());
  }
  return {std::move(tokens), tokenizer.vocabulary(), total_bytes(documents)};
}

TokenDataset::TokenDataset(std::vector<std::int32_t> tokens, std::int64_t vocabulary, std::uint64_t bytes)
    : vocabulary_{vocabulary}, bytes_{bytes} {
  for (const auto token : tokens) {
    if (token < 0 || token >= vocabulary) {
      throw burrow::ValueError("Token " + std::to_string(token) + " is outside of the vocabulary of " +
                               std::to_string(vocabulary) + " tokens.");
    }
  }
  const auto owned = std::make_shared<const std::vector<std::int32_t>>(std::move(tokens));
  tokens_ = std::span<const std::int32_t>{*owned};
  owner_ = owned;
}

TokenDataset::TokenDataset(View tokens, std::shared_ptr<const void> owner, std::int64_t vocabulary,
                           std::uint64_t bytes)
    : tokens_{tokens}, owner_{std::move(owner)}, vocabulary_{vocabulary}, bytes_{bytes} {}

std::uint64_t TokenDataset::size() const {
  return std::visit([](const auto& tokens) { return std::uint64_t{tokens.size()}; }, tokens_);
}

void TokenDataset::copy(std::uint64_t first, std::span<std::int32_t> out) const {
  if (out.empty()) return;
  if (size() == 0) throw burrow::ValueError("A data set without tokens has none to copy.");
  std::visit(
      [first, out](const auto& tokens) {
        std::size_t at = first % tokens.size();
        std::size_t filled = 0;
        while (filled < out.size()) {
          const std::size_t count = std::min(out.size() - filled, tokens.size() - at);
          const auto part = tokens.subspan(at, count);
          std::copy(part.begin(), part.end(), out.begin() + static_cast<std::ptrdiff_t>(filled));
          filled += count;
          at = 0;
        }
      },
      tokens_);
}

std::vector<Document> decoded(const Tokenizer& tokenizer, const TokenDataset& dataset) {
  std::vector<std::int32_t> tokens(dataset.size());
  dataset.copy(0, tokens);
  std::vector<Document> documents;
  for (auto rest = std::span<const std::int32_t>{tokens}; !rest.empty();) {
    const auto length = static_cast<std::size_t>(std::ranges::find(rest, tokenizer.eos()) - rest.begin());
    documents.push_back({"", tokenizer.decode(rest.first(length))});
    rest = rest.subspan(std::min(length + 1, rest.size()));
  }
  return documents;
}

}  // namespace gopher
