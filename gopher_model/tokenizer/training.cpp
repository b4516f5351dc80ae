#include <sentencepiece_trainer.h>

#include <algorithm>
#include <burrow/core/error.hpp>
#include <burrow/core/key.hpp>
#include <cstddef>
#include <map>
#include <unordered_map>
#include <utility>

#include "gopher_model/tokenizer/model_file.hpp"
#include "gopher_model/tokenizer/tokenizer.hpp"
#include "gopher_model/tokenizer/words.hpp"

namespace gopher {

namespace {

constexpr int fixed_tokens = 3 + 256;
constexpr int least_vocabulary = 320;
constexpr int vocabulary_step = 64;
constexpr std::size_t chunk_bytes = std::size_t{1} << 16;

using Counts = std::map<std::string, std::uint64_t, std::less<>>;

void check(const TokenizerOptions& options) {
  if (options.vocabulary < least_vocabulary || options.vocabulary > 1'000'000) {
    throw burrow::ConfigError("The vocabulary cannot be " + std::to_string(options.vocabulary) +
                              "; it must be from " + std::to_string(least_vocabulary) + " to 1000000.");
  }
  if (!(options.character_coverage > 0.0 && options.character_coverage <= 1.0)) {
    throw burrow::ConfigError("The character coverage cannot be " +
                              std::to_string(options.character_coverage) + "; it must be in (0, 1].");
  }
  if (options.training_bytes == 0) {
    throw burrow::ConfigError("The bytes of text to train the tokenizer on cannot be 0.");
  }
}

std::uint64_t total_bytes(std::span<const std::string_view> texts) {
  std::uint64_t total = 0;
  for (const auto text : texts) total += text.size();
  return total;
}

// A chunk ends after a line feed where there is one in its second half.
std::string_view first_chunk(std::string_view text) {
  if (text.size() <= chunk_bytes) return text;
  const auto line_end = text.substr(0, chunk_bytes).rfind('\n');
  return text.substr(0, line_end == text.npos || line_end < chunk_bytes / 2 ? chunk_bytes : line_end + 1);
}

void count_words(std::string_view text, std::unordered_map<std::string, std::uint64_t>& counts) {
  while (!text.empty()) {
    const Word word = first_word(text);
    text.remove_prefix(word.text.size());
    if (!word.raw) ++counts[std::string(word.text)];
  }
}

// In alphabetical order, so that the trained pieces do not depend on the order of a hash table.
Counts count_words(std::span<const std::string_view> texts, const TokenizerOptions& options) {
  const burrow::Key key{options.seed};
  const double share = static_cast<double>(options.training_bytes) / static_cast<double>(total_bytes(texts));
  std::unordered_map<std::string, std::uint64_t> counts;
  std::uint64_t number = 0;
  for (auto text : texts) {
    while (!text.empty()) {
      const auto chunk = first_chunk(text);
      text.remove_prefix(chunk.size());
      if (number == 0 || static_cast<double>(key.uniform(number)) < share) count_words(chunk, counts);
      ++number;
    }
  }
  return {counts.begin(), counts.end()};
}

// The characters that get tokens: the most frequent ones up to the coverage, in half of the vocabulary.
std::map<std::string, std::uint64_t> kept_characters(const Counts& words, double coverage, int vocabulary) {
  std::map<std::string, std::uint64_t> counts;
  std::uint64_t total = 0;
  for (const auto& [word, count] : words) {
    for (std::string_view rest = word; !rest.empty();) {
      const std::size_t length = utf8_length(rest);
      counts[std::string(rest.substr(0, length))] += count;
      rest.remove_prefix(length);
      total += count;
    }
  }
  counts.erase("\xE2\x96\x85");  // U+2585 has a meaning of its own inside of SentencePiece
  std::vector<std::pair<std::string, std::uint64_t>> sorted{counts.begin(), counts.end()};
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::map<std::string, std::uint64_t> kept;
  std::uint64_t covered = 0;
  for (const auto& item : sorted) {
    if (kept.size() >= static_cast<std::size_t>(vocabulary - fixed_tokens) / 2) break;
    if (static_cast<double>(covered) >= coverage * static_cast<double>(total)) break;
    covered += item.second;
    kept.insert(item);
  }
  return kept;
}

// Words cut where a character was left out: no piece can reach across one.
Counts without_rare(const Counts& words, const std::map<std::string, std::uint64_t>& kept) {
  Counts parts;
  for (const auto& [word, count] : words) {
    std::string part;
    for (std::string_view rest = word; !rest.empty();) {
      const std::string character{rest.substr(0, utf8_length(rest))};
      rest.remove_prefix(character.size());
      if (kept.contains(character)) part += character;
      if ((rest.empty() || !kept.contains(character)) && !part.empty()) {
        parts[part] += count;
        part.clear();
      }
    }
  }
  if (parts.empty()) parts[" "] = 1;  // SentencePiece ends the process when it has nothing to learn from
  return parts;
}

class CountedWords : public sentencepiece::SentenceIterator {
 public:
  explicit CountedWords(const Counts& words) : next_{words.begin()}, end_{words.end()} { write(); }
  bool done() const override { return next_ == end_; }
  void Next() override {
    ++next_;
    write();
  }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  void write() {
    if (next_ != end_) line_ = next_->first + '\t' + std::to_string(next_->second);
  }

  Counts::const_iterator next_, end_;
  std::string line_;
};

std::string train_model(const Counts& words, const TokenizerOptions& options, int vocabulary) {
  const auto kept = kept_characters(words, options.character_coverage, vocabulary);
  const Counts parts = without_rare(words, kept);
  CountedWords lines{parts};
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      {{"model_type", "bpe"},
       {"input_format", "tsv"},
       {"vocab_size", std::to_string(vocabulary)},
       {"hard_vocab_limit", "false"},
       {"byte_fallback", "true"},
       {"character_coverage", "1.0"},
       {"normalization_rule_name", options.normalization == Normalization::nfkc ? "nfkc" : "identity"},
       {"add_dummy_prefix", "false"},
       {"remove_extra_whitespaces", "false"},
       {"allow_whitespace_only_pieces", "true"},
       {"split_digits", options.split_digits ? "true" : "false"},
       {"unk_id", "0"},
       {"bos_id", "1"},
       {"eos_id", "2"},
       {"pad_id", "-1"},
       {"num_threads", "1"},
       {"minloglevel", "3"}},
      &lines, &model);
  if (!status.ok()) {
    throw burrow::ValueError(std::string("SentencePiece cannot train on this text: ") + status.message());
  }
  return seal(std::move(model), options.normalization);
}

int rounded(int vocabulary) { return vocabulary / vocabulary_step * vocabulary_step; }

// The vocabulary asked for, or less where the text is too short for it.
int supported_vocabulary(const TokenizerOptions& options, std::uint64_t bytes) {
  if (options.bytes_per_token == 0) return options.vocabulary;
  const std::uint64_t supported = std::max<std::uint64_t>(bytes / options.bytes_per_token, least_vocabulary);
  if (supported >= static_cast<std::uint64_t>(options.vocabulary)) return options.vocabulary;
  return rounded(static_cast<int>(supported));
}

}  // namespace

Tokenizer Tokenizer::train(std::span<const std::string_view> texts, const TokenizerOptions& options) {
  check(options);
  const std::uint64_t bytes = total_bytes(texts);
  if (bytes == 0) throw burrow::ValueError("A tokenizer cannot be trained on an empty text.");
  const Counts words = count_words(texts, options);
  const int vocabulary = supported_vocabulary(options, bytes);
  auto tokenizer = deserialize(train_model(words, options, vocabulary), "The trained tokenizer");
  const int reached = tokenizer.vocabulary();
  if (reached < vocabulary && rounded(reached) >= least_vocabulary && rounded(reached) != reached) {
    tokenizer = deserialize(train_model(words, options, rounded(reached)), "The trained tokenizer");
  }
  return tokenizer;
}

Tokenizer Tokenizer::train(std::string_view text, const TokenizerOptions& options) {
  return train(std::span{&text, 1}, options);
}

}  // namespace gopher
