#include "gopher_model/data/split.hpp"

#include <algorithm>
#include <burrow/core/error.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "gopher_model/tokenizer/checksum.hpp"

namespace gopher {

namespace {

constexpr std::size_t many_documents = 20;
constexpr std::size_t least_bytes = 256;
constexpr std::size_t least_document = 8;  // shorter documents are not cut

// 5% of `bytes`, at least one.
std::uint64_t share(std::uint64_t bytes) { return std::max<std::uint64_t>(bytes / 20, 1); }

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

// Where the held-out end of `text` starts: after the last line feed before 95%, if it is past the middle.
std::size_t cut(std::string_view text) {
  const std::size_t latest = text.size() - static_cast<std::size_t>(share(text.size()));
  const auto line_end = text.rfind('\n', latest - 1);
  if (line_end != text.npos && line_end + 1 >= text.size() / 2) return line_end + 1;
  std::size_t at = latest;
  while (at > text.size() / 2 && is_continuation(text[at])) --at;
  return at;
}

Split split_each(std::vector<Document> documents) {
  Split split;
  for (auto& document : documents) {
    if (document.text.size() >= least_document) {
      const std::size_t at = cut(document.text);
      split.held_out.push_back({document.name, document.text.substr(at)});
      document.text.resize(at);
    }
    split.training.push_back(std::move(document));
  }
  return split;
}

// Which documents to hold out: in the order of their keyed contents, until `wanted` bytes are reached.
// Copies of a document that was drawn are drawn as well.
std::vector<bool> draw(const std::vector<Document>& documents, burrow::Key key, std::uint64_t wanted) {
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    order.emplace_back(key.fold_in(checksum(documents[i].text)).value(), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<bool> drawn(documents.size(), false);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool repeats = i > 0 && order[i].first == order[i - 1].first && drawn[order[i - 1].second];
    if (bytes >= wanted && !repeats) continue;
    drawn[order[i].second] = true;
    bytes += documents[order[i].second].text.size();
  }
  return drawn;
}

Split divide(std::vector<Document> documents, const std::vector<bool>& drawn) {
  Split split;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    (drawn[i] ? split.held_out : split.training).push_back(std::move(documents[i]));
  }
  return split;
}

std::uint64_t drawn_bytes(const std::vector<Document>& documents, const std::vector<bool>& drawn) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < documents.size(); ++i) bytes += drawn[i] ? documents[i].text.size() : 0;
  return bytes;
}

}  // namespace

Split split_documents(std::vector<Document> documents, burrow::Key key) {
  const std::uint64_t bytes = total_bytes(documents);
  if (bytes < least_bytes) {
    throw burrow::ValueError("A text of " + std::to_string(bytes) +
                             " bytes is too short to hold some of it out; at least " +
                             std::to_string(least_bytes) + " bytes are needed.");
  }
  if (documents.size() < many_documents) return split_each(std::move(documents));
  const auto drawn = draw(documents, key, share(bytes));
  if (drawn_bytes(documents, drawn) > bytes / 5) return split_each(std::move(documents));
  return divide(std::move(documents), drawn);
}

}  // namespace gopher
