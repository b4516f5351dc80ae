// Encoding loses nothing, whatever the bytes; options do what they say.
#include "gopher_model/tokenizer/tokenizer.hpp"

#include <algorithm>
#include <burrow/core/error.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/tokenizer/corpus.hpp"

using namespace gopher;
using namespace gopher::testing;
using namespace std::string_literals;

namespace {

const Tokenizer& trained() {
  static const Tokenizer tokenizer = Tokenizer::train(corpus(2000), {.vocabulary = 448});
  return tokenizer;
}

// Checked without an assertion each, which would take most of the time.
bool round_trips(const Tokenizer& tokenizer, const std::string& text) {
  const auto tokens = tokenizer.encode(text);
  std::string streamed;
  for (const auto token : tokens) {
    if (token <= tokenizer.eos() || token >= tokenizer.vocabulary()) return false;
    streamed += tokenizer.bytes(token);
  }
  return streamed == text && tokenizer.decode(tokens) == text;
}

std::string utf8(std::uint32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80u | ((c >> shift) & 0x3Fu)); };
  if (c < 0x80u) return {static_cast<char>(c)};
  if (c < 0x800u) return {static_cast<char>(0xC0u | c >> 6), tail(0)};
  if (c < 0x10000u) return {static_cast<char>(0xE0u | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0u | c >> 18), tail(12), tail(6), tail(0)};
}

const std::vector<std::string>& awkward() {
  static const std::vector<std::string> parts{
      "\0"s,          "\t",           " ",         "  ",           "\n",           "\r\n",
      "\x1b[0m",      "\xE2\x96\x81", "\xE2\x96",  "\x81",         "\xE2\x96\x85", "\xEF\xBB\xBF",
      "\xEF\xBF\xBD", "\xFF",         "\xC0\x80",  "\xED\xA0\x80", "\xF4\x90",     "<s>",
      "</s>",         "<unk>",        "<0x41>",    "\xC2\xA0",     "\xE3\x80\x80", "ﬁ",
      "e\xCC\x81",    "return",       "   return", "12345",        "我们",         "🐹",
      "\x7F",         ";\n\n"};
  return parts;
}

std::string random_string(burrow::Key key, int distribution) {
  std::string text;
  const std::size_t length = draw(key, 0, 40);
  for (std::size_t i = 1; i <= length; ++i) {
    const auto bits = key.bits(i);
    if (distribution == 0) text += static_cast<char>(bits & 0xFFu);
    if (distribution == 1) text += utf8(bits % 0x110000u);
    if (distribution == 2) text += awkward()[bits % awkward().size()];
    if (distribution == 3) text += static_cast<char>(32 + bits % 95);
    if (distribution == 4) text += " \t\n\xE2\x96\x81"[bits % 6];
  }
  if (distribution == 5) {
    text = corpus(2, key);
    for (int i = 0; i < 4; ++i) text[draw(key, 50 + static_cast<std::uint64_t>(i), text.size())] ^= '\x90';
  }
  return text;
}

}  // namespace

TEST_CASE("decode(encode(x)) == x for every byte string, also token by token") {
  int failures = 0;
  for (std::uint64_t n = 0; n < 24'000; ++n) {
    const auto text = random_string(burrow::Key{n}, static_cast<int>(n % 6));
    if (!round_trips(trained(), text) && ++failures == 1) UNSCOPED_INFO("string " << n << ": " << text);
  }
  CHECK(failures == 0);
  for (int c = 0; c < 256; ++c) CHECK(round_trips(trained(), std::string(1, static_cast<char>(c))));
  for (const auto& part : awkward()) CHECK(round_trips(trained(), part));
  CHECK(trained().encode("").empty());
}

TEST_CASE("long strings without a place to cut are encoded in linear time") {
  for (const auto* unit : {" ", "\n", "a", "\xFF", "我", "\t", "ab "}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    CHECK(round_trips(trained(), text));
  }
}

TEST_CASE("frequent words, indentation and line ends are single tokens, digits stand alone") {
  CHECK(trained().encode(" gopher").size() == 1);
  CHECK(trained().encode("       ").size() == 1);
  CHECK(trained().encode("\n\n").size() == 1);
  CHECK(trained().encode("2024").size() == 4);
  const auto joined = Tokenizer::train(corpus(2000), {.vocabulary = 512, .split_digits = false});
  CHECK(joined.encode("2024").size() < 4);
  const auto text = corpus(200, burrow::Key{7});
  CHECK(trained().encode(text).size() * 3 < text.size());
}

TEST_CASE("tokens outside of the vocabulary are refused") {
  const auto size = trained().vocabulary();
  CHECK_THROWS_AS(trained().bytes(-1), burrow::ValueError);
  CHECK_THROWS_WITH(trained().bytes(size), "Token 448 is outside of the vocabulary of 448 tokens.");
  const std::vector<std::int32_t> tokens{3, size};
  CHECK_THROWS_AS(trained().decode(tokens), burrow::ValueError);
  CHECK(trained().bytes(trained().bos()).empty());
  CHECK(trained().bytes(trained().eos()).empty());
  CHECK(trained().bytes(trained().unknown()).empty());
}

TEST_CASE("a text that is too small gets a smaller vocabulary") {
  const auto small = Tokenizer::train(corpus(20));
  CHECK(small.vocabulary() == 320);
  const auto limited = Tokenizer::train(corpus(2000), {.vocabulary = 4096});
  CHECK(limited.vocabulary() < 4096);
  CHECK(limited.vocabulary() % 64 == 0);
  const auto all = Tokenizer::train(corpus(2000), {.vocabulary = 32'000, .bytes_per_token = 0});
  CHECK(all.vocabulary() % 64 == 0);
  for (const auto& text : {"a"s, "\t\t"s, "\xFF"s, "\0"s, "\xE2\x96\x85"s, " "s, "ab"s, "\xE2\x96\x81"s}) {
    const auto tiny = Tokenizer::train(text);
    CHECK(tiny.vocabulary() <= 320);
    CHECK(round_trips(tiny, text));
    CHECK(round_trips(tiny, "anything else"));
  }
}

TEST_CASE("a text of more characters than tokens is learned with the frequent ones") {
  std::string text;
  for (std::uint32_t c = 0x4E00; c < 0x5600; ++c) text += utf8(c) + utf8(c) + (c % 16 == 0 ? "\n" : "的");
  const auto tokenizer = Tokenizer::train(text, {.vocabulary = 320, .bytes_per_token = 0});
  CHECK(tokenizer.vocabulary() == 320);
  CHECK(tokenizer.encode("的").size() == 1);
  CHECK(round_trips(tokenizer, text));
}

TEST_CASE("training is deterministic and takes no more text than asked for") {
  const TokenizerOptions options{.vocabulary = 512, .training_bytes = 70'000, .bytes_per_token = 0};
  const auto text = corpus(20'000);
  const std::array<std::string_view, 2> parts{std::string_view{text}.substr(0, 1000),
                                              std::string_view{text}.substr(1000)};
  CHECK(Tokenizer::train(parts, options).serialized() == Tokenizer::train(parts, options).serialized());
  auto other = options;
  other.seed = 1;
  CHECK(Tokenizer::train(parts, options).serialized() != Tokenizer::train(parts, other).serialized());
}

TEST_CASE("NFKC decodes to normalized text") {
  const TokenizerOptions options{.vocabulary = 512, .normalization = Normalization::nfkc};
  const auto tokenizer = Tokenizer::train(corpus(500), options);
  CHECK(tokenizer.normalization() == Normalization::nfkc);
  CHECK(tokenizer.decode(tokenizer.encode("ﬁne cafe\xCC\x81 ２\n\tx")) == "fine café 2\n\tx");
  CHECK(round_trips(tokenizer, "\xFF\xED\xA0\x80\xE2\x96\x81\t\xC0\x80"));
  CHECK(round_trips(tokenizer, "plain text\n  keeps its spaces"));
}

TEST_CASE("options out of range and empty texts are refused") {
  CHECK_THROWS_WITH(Tokenizer::train("text", {.vocabulary = 100}),
                    "The vocabulary cannot be 100; it must be from 320 to 1000000.");
  CHECK_THROWS_AS(Tokenizer::train("text", {.character_coverage = 0.0}), burrow::ConfigError);
  CHECK_THROWS_AS(Tokenizer::train("text", {.training_bytes = 0}), burrow::ConfigError);
  CHECK_THROWS_AS(Tokenizer::train(""), burrow::ValueError);
  CHECK_THROWS_AS(Tokenizer::train(std::span<const std::string_view>{}), burrow::ValueError);
}

TEST_CASE("threads that share a tokenizer get the tokens of one") {
  const auto text = corpus(300, burrow::Key{3});
  const auto expected = Tokenizer::deserialize(trained().serialized(), "model").encode(text);
  std::array<std::vector<std::int32_t>, 4> results;
  {
    std::vector<std::jthread> threads;
    for (auto& result : results) threads.emplace_back([&result, &text] { result = trained().encode(text); });
  }
  for (const auto& result : results) CHECK(result == expected);
}
