// Token rows: samples, evaluation windows, shards on disk.
#include <algorithm>
#include <array>
#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <set>

#include "gopher_model/data/loader.hpp"
#include "gopher_model/data/permutation.hpp"
#include "gopher_model/data/token_shards.hpp"
#include "tests/fuzz.hpp"
#include "tests/tokenizer/corpus.hpp"

using namespace gopher;
using namespace gopher::testing;

namespace {

// Tokens 0, 1, 2, ...: a token is its own position.
TokenDataset counting(int size, std::int64_t vocabulary = 100'000) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(size));
  std::iota(tokens.begin(), tokens.end(), 0);
  return {std::move(tokens), vocabulary, static_cast<std::uint64_t>(3 * size)};
}

std::vector<std::int32_t> all_tokens(const TokenDataset& dataset) {
  std::vector<std::int32_t> tokens(dataset.size());
  dataset.copy(0, tokens);
  return tokens;
}

struct Window {
  explicit Window(std::int64_t context)
      : inputs(static_cast<std::size_t>(context)), targets(static_cast<std::size_t>(context)) {}
  std::vector<std::int32_t> inputs, targets;
};

}  // namespace

TEST_CASE("documents encoded in pieces, on threads, have the tokens that they have alone") {
  const std::string_view parts[] = {"the burrow", "\n",   "\n\n\n",    "  \n",         " is long. ",
                                    "\t",         "x1y2", "\r\n",      "\xE2\x96\x81", "\xFF",
                                    "\xC3\xA4",   " ",    "    return"};
  const Tokenizer tokenizer = Tokenizer::train("the burrow is long. return ", {.vocabulary = 320});
  std::vector<Document> documents{{"empty", ""},
                                  {"large", ""},
                                  {"one line", std::string(200'000, 'a')},
                                  {"lines", std::string(200'000, '\n')},
                                  {"small", "the burrow"}};
  for (std::uint64_t i = 0; documents[1].text.size() < 400'000; ++i)
    documents[1].text += parts[burrow::Key{5}.bits(i) % std::size(parts)];
  std::vector<std::int32_t> expected;
  for (const Document& document : documents) {
    tokenizer.encode(document.text, expected);
    expected.push_back(tokenizer.eos());
  }
  CHECK(all_tokens(TokenDataset::encode(tokenizer, documents)) == expected);
}

TEST_CASE("a permutation reaches every number once, and keys give different ones") {
  for (std::uint64_t size = 1; size < 300; ++size) {
    const Permutation permutation{burrow::Key{size}, size};
    std::vector<bool> reached(size, false);
    for (std::uint64_t i = 0; i < size; ++i) reached.at(permutation(i)) = true;
    CHECK(std::count(reached.begin(), reached.end(), true) == static_cast<std::ptrdiff_t>(size));
  }
  const Permutation one{burrow::Key{1}, 1000};
  const Permutation two{burrow::Key{2}, 1000};
  int equal = 0;
  int in_place = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    equal += one(i) == two(i);
    in_place += one(i) == i;
  }
  CHECK(equal < 10);
  CHECK(in_place < 10);
  const Permutation large{burrow::Key{1}, (std::uint64_t{1} << 40) + 1};
  CHECK(large(12345) < large.size());
}

TEST_CASE("every order of three occurs about equally often") {
  std::array<int, 27> seen{};
  for (std::uint64_t key = 0; key < 6000; ++key) {
    const Permutation p{burrow::Key{key}, 3};
    ++seen[p(0) * 9 + p(1) * 3 + p(2)];
  }
  for (const std::size_t order : {5u, 7u, 11u, 15u, 19u, 21u}) CHECK(seen[order] == Approx(1000).margin(150));
}

TEST_CASE("an epoch covers disjoint windows of targets, each once") {
  for (const int size : {9, 64, 100, 1001}) {
    for (const int context : {1, 7, 8}) {
      const Loader loader{counting(size), context, burrow::Key{5}};
      const auto samples = loader.samples_per_epoch();
      CHECK(samples == static_cast<std::uint64_t>(size / context));
      Window window{context};
      for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
        std::set<std::int32_t> targets;
        for (std::uint64_t i = 0; i < samples; ++i) {
          loader.sample(epoch * samples + i, window.inputs, window.targets);
          targets.insert(window.targets.begin(), window.targets.end());
        }
        CHECK(targets.size() == samples * static_cast<std::uint64_t>(context));
      }
    }
  }
}

TEST_CASE("targets follow their inputs, and a sample depends on key and number only") {
  const Loader loader{counting(1000), 10, burrow::Key{5}};
  const Loader same{counting(1000), 10, burrow::Key{5}};
  const Loader other{counting(1000), 10, burrow::Key{6}};
  Window window{10};
  Window again{10};
  int equal = 0;
  for (std::uint64_t number = 500; number-- > 0;) {
    loader.sample(number, window.inputs, window.targets);
    for (std::size_t i = 0; i < 10; ++i) CHECK(window.targets[i] == (window.inputs[i] + 1) % 1000);
    same.sample(number, again.inputs, again.targets);
    CHECK(again.inputs == window.inputs);
    equal += other.start(number) == loader.start(number);
  }
  CHECK(equal < 10);
  CHECK(loader.start(0) % 10 != loader.start(100) % 10);
}

TEST_CASE("a text shorter than a window names the longest context that fits") {
  CHECK_NOTHROW(Loader(counting(8), 7, burrow::Key{}));
  CHECK_THROWS_WITH(Loader(counting(8), 8, burrow::Key{}),
                    "The text has 8 tokens, too few for a context of 8; the longest that fits is 7.");
  CHECK_THROWS_AS(Loader(counting(1), 1, burrow::Key{}), burrow::ConfigError);
  CHECK_THROWS_AS(Loader(counting(0), 1, burrow::Key{}), burrow::ConfigError);
  CHECK_THROWS_AS(Loader(counting(8), 0, burrow::Key{}), burrow::ConfigError);
  Window window{3};
  CHECK_THROWS_AS(Loader(counting(8), 4, burrow::Key{}).sample(0, window.inputs, window.targets),
                  burrow::ValueError);
}

TEST_CASE("evaluation windows predict every token exactly once, from the token before it") {
  for (const int size : {1, 7, 8, 9, 40, 41}) {
    const EvaluationWindows windows{counting(size), 8, 99'999};
    Window window{8};
    std::vector<std::int32_t> predicted;
    for (std::uint64_t n = 0; n < windows.count(); ++n) {
      const auto used = static_cast<std::size_t>(windows.window(n, window.inputs, window.targets));
      for (std::size_t i = 0; i < used; ++i) {
        CHECK(window.inputs[i] == (window.targets[i] == 0 ? 99'999 : window.targets[i] - 1));
        predicted.push_back(window.targets[i]);
      }
      for (std::size_t i = used; i < 8; ++i) {
        CHECK(window.inputs[i] == 99'999);
        CHECK(window.targets[i] == ignored_target);
      }
      CHECK((used == 8 || n + 1 == windows.count()));
    }
    CHECK(predicted == all_tokens(windows.dataset()));
    CHECK(windows.bytes() == static_cast<std::uint64_t>(3 * size));
    CHECK_THROWS_AS(windows.window(windows.count(), window.inputs, window.targets), burrow::ValueError);
  }
  CHECK_THROWS_AS(EvaluationWindows(counting(0), 8, 0), burrow::ConfigError);
}

TEST_CASE("documents are encoded in order, each with an end") {
  const std::vector<Document> documents{{"a", "the gopher"}, {"b", corpus(5)}};
  const auto tokenizer = Tokenizer::train(corpus(200), {.vocabulary = 384});
  const auto dataset = TokenDataset::encode(tokenizer, documents);
  const auto tokens = all_tokens(dataset);
  CHECK(dataset.bytes() == total_bytes(documents));
  CHECK(text_bytes(tokenizer, tokens) == dataset.bytes());
  CHECK(text_bytes(tokenizer, std::array{ignored_target, std::int32_t{3}}) == 1);
  const auto end = std::find(tokens.begin(), tokens.end(), tokenizer.eos());
  CHECK(tokenizer.decode({tokens.begin(), end}) == documents[0].text);
  CHECK(tokenizer.decode({end + 1, tokens.end() - 1}) == documents[1].text);
  CHECK(tokens.back() == tokenizer.eos());
  CHECK_THROWS_AS(TokenDataset({0, 5}, 5, 2), burrow::ValueError);
}

TEST_CASE("tokens give the documents back") {
  const auto tokenizer = Tokenizer::train(corpus(200), {.vocabulary = 384});
  const std::vector<Document> documents{{"a", "the gopher\xFF"}, {"b", corpus(5)}, {"c", ""}, {"d", "\n"}};
  const auto again = decoded(tokenizer, TokenDataset::encode(tokenizer, documents));
  REQUIRE(again.size() == documents.size());
  for (std::size_t i = 0; i < again.size(); ++i) CHECK(again[i].text == documents[i].text);
  CHECK(decoded(tokenizer, TokenDataset{{}, 384, 0}).empty());
}

TEST_CASE("a shard holds the tokens it was written from, in two or four bytes each") {
  const TemporaryDirectory directory;
  for (const std::int64_t vocabulary : {65'536, 65'537}) {
    write_shard(directory / "shard", counting(5000, vocabulary), 77);
    CHECK(burrow::read_text(directory / "shard").size() ==
          (vocabulary == 65'536 ? 64 + 10'000 : 64 + 20'000));
    const auto shard = read_shard(directory / "shard");
    CHECK(shard.source == 77);
    CHECK(shard.dataset.vocabulary() == vocabulary);
    CHECK(shard.dataset.bytes() == 15'000);
    CHECK(all_tokens(shard.dataset) == all_tokens(counting(5000)));
    write_shard(directory / "copy", shard.dataset, 77);
    CHECK(burrow::read_text(directory / "copy") == burrow::read_text(directory / "shard"));
  }
}

TEST_CASE("a damaged, cut or foreign shard is an IoError, never a crash", "[fuzz]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "shard";
  const auto is_refused = [&path](std::string_view bytes) {
    std::FILE* const file = std::fopen(path.c_str(), "r+b");
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
    std::filesystem::resize_file(path, bytes.size());
    try {
      read_shard(path);
    } catch (const burrow::IoError& error) {
      return std::string_view{error.what()}.starts_with(path + " ");
    }
    return false;
  };
  write_shard(path, counting(60), 77);
  const auto bytes = burrow::read_text(path);
  int accepted = 0;
  const std::uint64_t seed = fuzz_seed(), rounds = static_cast<std::uint64_t>(fuzz_rounds(10'000));
  for (std::uint64_t n = 0; n < rounds; ++n) {
    const burrow::Key key = burrow::Key{seed}.fold_in(n);
    auto changed = bytes;
    for (std::uint64_t i = 0; i <= n % 4; ++i) {
      const std::size_t bound = n % 2 == 0 ? bytes.size() : 64;
      changed[draw(key, 2 * i, bound)] ^= static_cast<char>(1 + draw(key, 2 * i + 1, 255));
    }
    accepted += changed != bytes && !is_refused(changed);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) accepted += !is_refused(bytes.substr(0, size));
  CHECK(accepted == 0);
  CHECK(is_refused(bytes + "x"));
  CHECK_FALSE(is_refused(bytes));
  CHECK_THROWS_AS(read_shard(directory / "none"), burrow::IoError);
  CHECK_THROWS_AS(read_shard(directory / ""), burrow::IoError);
}

TEST_CASE("cached tokens are encoded again when text or tokenizer change") {
  const TemporaryDirectory directory;
  const std::string path = directory / "shard";
  const auto tokenizer = Tokenizer::train(corpus(200), {.vocabulary = 384});
  std::vector<Document> documents{{"a", corpus(5)}, {"b", corpus(6)}};
  const auto first = cached_tokens(path, tokenizer, documents);
  const auto written = std::filesystem::last_write_time(path);
  CHECK(all_tokens(cached_tokens(path, tokenizer, documents)) == all_tokens(first));
  CHECK(std::filesystem::last_write_time(path) == written);
  std::swap(documents[0], documents[1]);
  CHECK(all_tokens(cached_tokens(path, tokenizer, documents)) ==
        all_tokens(TokenDataset::encode(tokenizer, documents)));
  CHECK(read_shard(path).source == shard_source(tokenizer, documents));
  const auto other = Tokenizer::train(corpus(300), {.vocabulary = 384});
  CHECK(shard_source(other, documents) != shard_source(tokenizer, documents));
  burrow::write_atomically(path, "notes of mine");
  CHECK_THROWS_WITH(cached_tokens(path, tokenizer, documents),
                    path + " is not a token shard. Remove it, and the text is encoded again.");
  CHECK(burrow::read_text(path) == "notes of mine");
}
