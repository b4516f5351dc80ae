#include "gopher_model/training/corpus.hpp"

#include <iterator>

#include "gopher_model/data/byte_model.hpp"
#include "gopher_model/data/default_text.hpp"
#include "gopher_model/data/documents.hpp"
#include "gopher_model/data/split.hpp"

namespace gopher {
namespace {

std::vector<Document> all_documents(const RunConfiguration& configuration) {
  if (configuration.data.empty()) return default_documents();
  std::vector<Document> documents;
  for (const std::string& source : configuration.data) {
    auto more = read_documents(source);
    documents.insert(documents.end(), std::make_move_iterator(more.begin()),
                     std::make_move_iterator(more.end()));
  }
  return documents;
}

Tokenizer make_tokenizer(const RunConfiguration& configuration, const RunDirectory& run,
                         std::span<const Document> documents) {
  if (configuration.resume) return Tokenizer::load(run.tokenizer().string());
  if (!configuration.tokenizer.empty()) return Tokenizer::load(configuration.tokenizer);
  TokenizerOptions options;
  options.vocabulary = static_cast<int>(configuration.size.vocabulary);
  options.seed = static_cast<std::uint64_t>(configuration.seed);
  return Tokenizer::train(texts(documents), options);
}

}  // namespace

Corpus prepare_corpus(const RunConfiguration& configuration, const RunDirectory& run) {
  auto documents = all_documents(configuration);
  const auto count = static_cast<Index>(documents.size());
  const Split split = split_documents(std::move(documents), key_for(configuration.seed, Purpose::split));
  const Tokenizer tokenizer = make_tokenizer(configuration, run, split.training);
  if (!configuration.resume) tokenizer.save(run.tokenizer().string());
  const auto training = TokenDataset::encode(tokenizer, split.training);
  const auto held_out = TokenDataset::encode(tokenizer, split.held_out);
  return {tokenizer,
          Loader{training, configuration.size.context, key_for(configuration.seed, Purpose::data)},
          EvaluationWindows{held_out, configuration.size.context, tokenizer.eos()},
          static_cast<double>(training.bytes()) / static_cast<double>(training.size()),
          ByteModel{split.training}.bits_per_byte(split.held_out),
          count};
}

}  // namespace gopher
