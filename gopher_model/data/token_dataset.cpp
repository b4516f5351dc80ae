#include "gopher_model/data/token_dataset.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <burrow/core/error.hpp>
#include <burrow/core/parallel.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace gopher {

namespace {

// A stretch of a document for one thread to encode.
struct Piece {
  std::string_view text;
  bool ends_document;
};

// Documents, cut where lines end: no word goes on there, so a piece has the same tokens alone.
std::vector<Piece> pieces_of(std::span<const Document> documents) {
  constexpr std::size_t size = std::size_t{1} << 16;
  std::vector<Piece> pieces;
  for (const auto& document : documents) {
    std::string_view rest = document.text;
    while (rest.size() > size) {
      const std::size_t line_end = std::min(rest.find('\n', size), rest.size());
      const std::size_t next = std::min(rest.find_first_not_of('\n', line_end), rest.size());
      if (next == rest.size()) break;
      pieces.push_back({rest.substr(0, next), false});
      rest.remove_prefix(next);
    }
    pieces.push_back({rest, true});
  }
  return pieces;
}

}  // namespace

TokenDataset TokenDataset::encode(const Tokenizer& tokenizer, std::span<const Document> documents) {
  const std::vector<Piece> pieces = pieces_of(documents);
  std::vector<std::vector<std::int32_t>> encoded(pieces.size());
  burrow::parallel_tasks(static_cast<burrow::Index>(pieces.size()), [&](burrow::Index i) {
    const auto at = static_cast<std::size_t>(i);
    tokenizer.encode(pieces[at].text, encoded[at]);
    if (pieces[at].ends_document) encoded[at].push_back(tokenizer.eos());
  });
  std::vector<std::int32_t> tokens;
  for (auto& part : encoded) {
    tokens.insert(tokens.end(), part.begin(), part.end());
    part = {};
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

void TokenDataset::will_read(std::uint64_t first, std::size_t count) const {
  std::visit(
      [first, count](const auto& tokens) {
        if (tokens.empty()) return;
        const std::size_t at = first % tokens.size();
        const auto part = tokens.subspan(at, std::min(count, tokens.size() - at));
        constexpr std::uintptr_t page = 4096;
        const auto begin = reinterpret_cast<std::uintptr_t>(part.data()) / page * page;
        const auto end = reinterpret_cast<std::uintptr_t>(part.data() + part.size());
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);  // advice; may fail
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
