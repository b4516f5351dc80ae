// A saved tokenizer is read back whole, and damage is noticed.
#include "gopher_model/tokenizer/checksum.hpp"

#include <burrow/core/error.hpp>
#include <catch2/catch.hpp>

#include "gopher_model/tokenizer/tokenizer.hpp"
#include "gopher_model/tokenizer/words.hpp"
#include "tests/fuzz.hpp"
#include "tests/tokenizer/corpus.hpp"

using namespace gopher;
using namespace gopher::testing;

namespace {

bool is_io_error(const std::string& bytes) {
  try {
    Tokenizer::deserialize(bytes, "the model");
  } catch (const burrow::IoError& error) {
    return std::string_view{error.what()}.starts_with("the model ");
  }
  return false;
}

}  // namespace

TEST_CASE("the checksum notices every changed byte, and the length") {
  const std::string bytes = corpus(3);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto changed = bytes;
    changed[i] ^= '\x01';
    CHECK(checksum(changed) != checksum(bytes));
    CHECK(checksum(bytes.substr(0, i)) != checksum(bytes));
  }
  CHECK(checksum(std::string(3, '\0')) != checksum(std::string(4, '\0')));
  CHECK(checksum(bytes, 1) != checksum(bytes, 2));
}

TEST_CASE("a saved tokenizer is loaded as it was") {
  const TemporaryDirectory directory;
  const auto tokenizer = Tokenizer::train(corpus(500), {.vocabulary = 384});
  tokenizer.save(directory / "model");
  const auto loaded = Tokenizer::load(directory / "model");
  CHECK(loaded.serialized() == tokenizer.serialized());
  CHECK(loaded.vocabulary() == tokenizer.vocabulary());
  CHECK(loaded.encode(corpus(50)) == tokenizer.encode(corpus(50)));
}

TEST_CASE("a damaged, cut or foreign tokenizer file is an IoError, never a crash", "[fuzz]") {
  const auto bytes = Tokenizer::train(corpus(500), {.vocabulary = 384}).serialized();
  int accepted = 0;
  const auto read = [&](const std::vector<std::byte>& changed) {
    Tokenizer::deserialize(fuzzed_text(changed), "FILE");
    accepted += fuzzed_text(changed) != bytes;
  };
  fuzz(fuzzed_bytes(bytes), fuzz_rounds(10'000), read, "FILE ");
  for (std::size_t size = 0; size < bytes.size(); ++size) accepted += !is_io_error(bytes.substr(0, size));
  CHECK(accepted == 0);
  CHECK(is_io_error("not a model"));
  CHECK(is_io_error(bytes + "x"));
  CHECK_THROWS_AS(Tokenizer::load("/missing/model"), burrow::IoError);
}

TEST_CASE("words are never empty, hold whole characters, and make up the text") {
  std::string_view text = "\xF0\x9F\x90\xB9  a  \n\t x;\n\n}12,é\xFF.\xE2\x96\x81 b";
  std::vector<std::string> words;
  for (auto rest = text; !rest.empty();) {
    const auto word = first_word(rest);
    words.emplace_back(word.text);
    rest.remove_prefix(word.text.size());
  }
  const std::vector<std::string> expected{
      "\xF0\x9F\x90\xB9", " ", " a", "  ", "\n", "\t", " x", ";\n\n", "}12,é", "\xFF", ".",
      "\xE2\x96\x81",     " b"};
  CHECK(words == expected);
  CHECK(first_word(std::string(1000, ' ')).text.size() == longest_word);
  std::string wide;
  while (wide.size() < 1000) wide += "我";
  CHECK(first_word(wide).text.size() == longest_word / 3 * 3);
}

TEST_CASE("only whole, shortest UTF-8 of Unicode scalar values counts as a character") {
  for (const auto* good : {"a", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEF\xBF\xBF",
                           "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    const std::string_view text = good;
    CHECK(utf8_length(text) == text.size());
    CHECK(utf8_length(std::string(text) + "x") == text.size());
    if (text.size() > 1) CHECK(utf8_length(text.substr(0, text.size() - 1)) == 0);
  }
  for (const auto* bad : {"", "\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC2x", "\xE2\x96x"}) {
    CHECK(utf8_length(bad) == 0);
  }
}
