// gopher tokenizer train|encode|decode.
#include "gopher_model/tokenizer/tokenizer.hpp"

#include <burrow/io/file.hpp>
#include <charconv>
#include <iostream>

#include "gopher_model/cli/command.hpp"
#include "gopher_model/cli/options.hpp"
#include "gopher_model/data/default_text.hpp"
#include "gopher_model/data/documents.hpp"
#include "gopher_model/model/quantities.hpp"

namespace gopher {
namespace {

std::string read_input(const std::string& path) {
  return path == "-" ? read_standard_input() : burrow::read_text(path);
}

std::vector<Document> read_all(const std::vector<std::string>& sources) {
  if (sources.empty()) return default_documents();
  std::vector<Document> documents;
  std::vector<std::string> binary;
  for (const std::string& source : sources) {
    for (Document& document : read_documents(source, &binary)) documents.push_back(std::move(document));
  }
  for (const std::string& name : binary) std::cerr << "left out, since it is not text: " << name << '\n';
  return documents;
}

int train_tokenizer(Arguments arguments) {
  std::vector<std::string> data;
  std::string output;
  bool nfkc = false;
  TokenizerOptions chosen;
  Index vocabulary = chosen.vocabulary, seed = 0;
  Options options("tokenizer train", "trains a tokenizer: byte pair encoding that is exact for any bytes.",
                  "gopher tokenizer train --data book.txt --vocabulary 4096 --output book.tokenizer");
  options.add(
      "--data", data, TextListRule{"FILE"},
      "text files, JSON lines (.jsonl) or directories of them, as they are or compressed (.gz, .zst); "
      "- is standard input; none: this project's own sources");
  options.add("--vocabulary", vocabulary, {320, 1'000'000}, "tokens to learn; a small text gives fewer");
  options.add("--output", output, TextRule{"FILE"}, "where to write the tokenizer");
  options.add("--nfkc", nfkc, "normalise text with Unicode's NFKC; decoding then gives the normalised text");
  options.add("--seed", seed, {0, 1'000'000'000}, "draws the part of a large text that is trained on");
  if (!options.parse(arguments)) return 0;
  if (output.empty()) throw UsageError("tokenizer train needs --output FILE, to write the tokenizer to.");

  chosen.vocabulary = static_cast<int>(vocabulary);
  chosen.normalization = nfkc ? Normalization::nfkc : Normalization::none;
  chosen.seed = static_cast<std::uint64_t>(seed);
  const std::vector<Document> documents = read_all(data);
  const Tokenizer tokenizer = Tokenizer::train(texts(documents), chosen);
  tokenizer.save(output);
  std::cout << output << ": " << grouped(tokenizer.vocabulary()) << " tokens from "
            << binary_bytes(static_cast<double>(total_bytes(documents))) << " of text\n";
  return 0;
}

struct CodingOptions {
  std::string tokenizer;
  std::string input = "-";
};

// False if help was printed.
bool parse_coding(Options& options, CodingOptions& coding, Arguments arguments) {
  options.add("--tokenizer", coding.tokenizer, TextRule{"FILE"}, "what gopher tokenizer train wrote");
  options.add("--input", coding.input, TextRule{"FILE"}, "what to read; - is standard input");
  if (!options.parse(arguments)) return false;
  if (coding.tokenizer.empty()) throw UsageError("tokenizer needs --tokenizer FILE, to know the tokens.");
  return true;
}

int encode(Arguments arguments) {
  CodingOptions coding;
  Options options("tokenizer encode", "writes a text as the numbers of its tokens.",
                  "gopher tokenizer encode --tokenizer book.tokenizer --input book.txt > book.tokens");
  if (!parse_coding(options, coding, arguments)) return 0;
  const Tokenizer tokenizer = Tokenizer::load(coding.tokenizer);
  const char* separator = "";
  for (const std::int32_t token : tokenizer.encode(read_input(coding.input))) {
    std::cout << separator << token;
    separator = " ";
  }
  std::cout << '\n';
  return 0;
}

std::vector<std::int32_t> read_tokens(std::string_view text, const std::string& origin) {
  constexpr std::string_view space = " \t\r\n";
  std::vector<std::int32_t> tokens;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
    if (text.empty()) return tokens;
    const std::string_view word = text.substr(0, text.find_first_of(space));
    std::int32_t token = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), token);
    if (error != std::errc() || end != word.data() + word.size()) {
      throw burrow::IoError(origin + ": token " + std::to_string(tokens.size() + 1) + " is " +
                            to_toml(Value{std::string(word.substr(0, 40))}) +
                            ", but must be a whole number.");
    }
    tokens.push_back(token);
    text.remove_prefix(word.size());
  }
}

int decode(Arguments arguments) {
  CodingOptions coding;
  Options options("tokenizer decode", "writes the text of token numbers that are separated by white space.",
                  "gopher tokenizer decode --tokenizer book.tokenizer --input book.tokens");
  if (!parse_coding(options, coding, arguments)) return 0;
  const Tokenizer tokenizer = Tokenizer::load(coding.tokenizer);
  const std::string origin = coding.input == "-" ? "standard input" : coding.input;
  std::cout << tokenizer.decode(read_tokens(read_input(coding.input), origin));
  return 0;
}

constexpr Command commands[] = {
    {"train", "train a tokenizer on text", train_tokenizer},
    {"encode", "write a text as the numbers of its tokens", encode},
    {"decode", "write the text of token numbers", decode},
};

}  // namespace

int run_tokenizer(Arguments arguments) {
  return dispatch("gopher tokenizer", "text to tokens and back.", commands, arguments);
}

}  // namespace gopher
