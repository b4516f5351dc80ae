#include "gopher_model/training/corpus.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "gopher_model/data/byte_model.hpp"
#include "gopher_model/data/default_text.hpp"
#include "gopher_model/data/documents.hpp"
#include "gopher_model/data/split.hpp"
#include "gopher_model/data/token_shards.hpp"
#include "gopher_model/tokenizer/checksum.hpp"
#include "gopher_model/training/resume.hpp"

namespace gopher {
namespace {

std::vector<Document> all_documents(const RunConfiguration& configuration, ProgressLine& progress) {
  if (configuration.data.empty()) return default_documents();
  std::vector<Document> documents;
  std::vector<std::string> binary;
  for (const std::string& source : configuration.data) {
    std::ranges::move(read_documents(source, &binary), std::back_inserter(documents));
  }
  if (!binary.empty()) {
    progress.message("left out, since they hold NUL bytes and so are not text: " + binary.front() +
                     (binary.size() > 1 ? " and " + std::to_string(binary.size() - 1) + " more" : ""));
  }
  return documents;
}

// Standard input cannot be read a second time.
bool reads_standard_input(const RunConfiguration& configuration) {
  return std::ranges::find(configuration.data, "-") != configuration.data.end();
}

// A text, divided, and what its parts' token shards are made from.
struct Text {
  Split split;
  std::uint64_t training_source, held_out_source;
  bool kept;  // it comes from the shards
};

Text kept_text(const RunDirectory& run, const Tokenizer& tokenizer, ProgressLine& progress) {
  progress.message("standard input is not read again: the run goes on with the tokens that it kept");
  const Shard training = read_shard(run.training_tokens().string());
  const Shard held_out = read_shard(run.held_out_tokens().string());
  return {{decoded(tokenizer, training.dataset), decoded(tokenizer, held_out.dataset)},
          training.source,
          held_out.source,
          true};
}

Text with_sources(Split split, const Tokenizer& tokenizer) {
  const std::uint64_t training = shard_source(tokenizer, split.training);
  const std::uint64_t held_out = shard_source(tokenizer, split.held_out);
  return {std::move(split), training, held_out, false};
}

Split read_split(const RunConfiguration& configuration, ProgressLine& progress) {
  return split_documents(all_documents(configuration, progress), key_for(configuration.seed, Purpose::split));
}

Tokenizer make_tokenizer(const RunConfiguration& configuration, std::span<const Document> documents) {
  if (!configuration.tokenizer.empty()) return Tokenizer::load(configuration.tokenizer);
  TokenizerOptions options;
  options.vocabulary = static_cast<int>(configuration.size.vocabulary);
  options.seed = static_cast<std::uint64_t>(configuration.seed);
  return Tokenizer::train(texts(documents), options);
}

RunIdentity identity_of(Index seed, const Tokenizer& tokenizer, const Text& text) {
  const std::array sources{text.training_source, text.held_out_source};
  return {seed, checksum(tokenizer.serialized()),
          checksum({reinterpret_cast<const char*>(sources.data()), sizeof sources})};
}

TokenDataset tokens(const std::filesystem::path& shard, const Tokenizer& tokenizer, const Text& text,
                    std::span<const Document> documents) {
  return text.kept ? read_shard(shard.string()).dataset : cached_tokens(shard.string(), tokenizer, documents);
}

Corpus assembled(const RunConfiguration& c, const RunDirectory& run, const Tokenizer& tokenizer,
                 const Text& text, const RunIdentity& identity) {
  const Split& split = text.split;
  const TokenDataset training = tokens(run.training_tokens(), tokenizer, text, split.training);
  const TokenDataset held_out = tokens(run.held_out_tokens(), tokenizer, text, split.held_out);
  return {tokenizer,
          Loader{training, c.size.context, key_for(c.seed, Purpose::data)},
          EvaluationWindows{held_out, c.size.context, tokenizer.eos()},
          static_cast<double>(training.bytes()) / static_cast<double>(training.size()),
          ByteModel{split.training}.bits_per_byte(split.held_out),
          static_cast<Index>(split.training.size()),
          static_cast<Index>(split.held_out.size()),
          identity};
}

}  // namespace

Corpus prepare_corpus(const RunConfiguration& c, const RunDirectory& run, const ResumePoint* point,
                      ProgressLine& progress) {
  if (!c.resume) {
    Split split = read_split(c, progress);
    const Tokenizer tokenizer = make_tokenizer(c, split.training);
    tokenizer.save(run.tokenizer().string());
    const Text text = with_sources(std::move(split), tokenizer);
    return assembled(c, run, tokenizer, text, identity_of(c.seed, tokenizer, text));
  }
  const Tokenizer tokenizer = Tokenizer::load(run.tokenizer().string());
  const Text text = reads_standard_input(c) ? kept_text(run, tokenizer, progress)
                                            : with_sources(read_split(c, progress), tokenizer);
  const RunIdentity identity = identity_of(c.seed, tokenizer, text);
  if (point != nullptr) require_same_corpus(*point, identity, run);
  return assembled(c, run, tokenizer, text, identity);
}

Corpus prepared_corpus(const RunConfiguration& c, const RunFiles& run) {
  const Tokenizer tokenizer = Tokenizer::load(run.tokenizer().string());
  const TokenDataset training = read_shard(run.training_tokens().string()).dataset;
  const TokenDataset held_out = read_shard(run.held_out_tokens().string()).dataset;
  return {.tokenizer = tokenizer,
          .training = Loader{training, c.size.context, key_for(c.seed, Purpose::data)},
          .held_out = EvaluationWindows{held_out, c.size.context, tokenizer.eos()},
          .bytes_per_token = static_cast<double>(training.bytes()) / static_cast<double>(training.size()),
          .baseline_bits_per_byte = 0,
          .training_documents = 0,
          .held_out_documents = 0,
          .identity = {}};
}

}  // namespace gopher
