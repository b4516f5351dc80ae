// Reading documents, and holding some of them out.
#include "gopher_model/data/documents.hpp"

#include <algorithm>
#include <array>
#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "gopher_model/data/default_text.hpp"
#include "gopher_model/data/split.hpp"
#include "tests/fuzz.hpp"
#include "tests/tokenizer/corpus.hpp"

using namespace gopher;
using namespace gopher::testing;

namespace {

void write(const std::string& path, std::string_view contents) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  burrow::write_atomically(path, contents);
}

std::string all_text(std::span<const Document> documents) {
  std::string text;
  for (const auto& document : documents) text += document.text;
  return text;
}

std::vector<Document> numbered(int count, std::size_t lines) {
  std::vector<Document> documents;
  for (int i = 0; i < count; ++i) {
    documents.push_back({std::to_string(i), corpus(lines, burrow::Key{static_cast<std::uint64_t>(i)})});
  }
  return documents;
}

std::vector<std::string> names(std::span<const Document> documents) {
  std::vector<std::string> result;
  for (const auto& document : documents) result.push_back(document.name);
  return result;
}

}  // namespace

TEST_CASE("a file is one document, with its bytes as they are") {
  const TemporaryDirectory directory;
  write(directory / "a.txt", "one\r\ntwo\xFF");
  const auto documents = read_documents(directory / "a.txt");
  REQUIRE(documents.size() == 1);
  CHECK(documents[0].name == directory / "a.txt");
  CHECK(documents[0].text == "one\r\ntwo\xFF");
}

TEST_CASE("a directory gives its text files in order, and nothing hidden, binary or built") {
  const TemporaryDirectory directory;
  const std::array kept{"a.txt", "b/c/d.md", "b/x.jsonl", "c.txt"};
  for (const auto* name : {"c.txt", "b/c/d.md", "a.txt", ".git/config", ".hidden", "build/x.txt",
                           "build-release/x.txt", "out/CMakeCache.txt", "out/x.txt", "__pycache__/x.txt"}) {
    write(directory / name, name);
  }
  write(directory / "empty.txt", "");
  write(directory / "binary", std::string_view{"x\0y", 3});
  write(directory / "b/x.jsonl", R"({"text": "b/x.jsonl"})");
  std::filesystem::create_directory_symlink(directory / "b", directory / "link");
  const auto documents = read_documents(directory / "");
  REQUIRE(documents.size() == kept.size());
  for (std::size_t i = 0; i < kept.size(); ++i) CHECK(documents[i].text == kept[i]);
}

TEST_CASE("JSON lines are documents, and errors name the line") {
  const auto documents =
      parse_json_lines("{\"text\": \"a\\nb\"}\r\n\n  \n{\"id\": 7, \"text\": \"é\"}\n{\"text\": \"\"}", "x");
  REQUIRE(documents.size() == 2);
  CHECK(documents[0].text == "a\nb");
  CHECK(documents[1].name == "x:4");
  CHECK(documents[1].text == "é");
  const std::string good = "{\"text\": \"a\"}\n";
  CHECK_THROWS_WITH(parse_json_lines(good + "{\"text\"", "x"), "x:2 is not valid JSON in UTF-8.");
  CHECK_THROWS_AS(parse_json_lines("{\"text\": \"\xFF\"}", "x"), burrow::IoError);
  for (const auto* line : {"[]", "3", "{}", "{\"text\": 3}", "\"text\"", "null"}) {
    CHECK_THROWS_WITH(parse_json_lines(good + good + line, "x"),
                      "x:3 is not a JSON object with a string in its field \"text\".");
  }
}

TEST_CASE("damaged JSON lines are read or refused, never more", "[fuzz]") {
  const std::string lines =
      "{\"text\": \"one \\u00e9 two\", \"n\": [1, {\"a\": null}]}\n{\"text\": \"three\"}\n";
  std::size_t most = 0;
  const auto read = [&](const std::vector<std::byte>& bytes) {
    most = std::max(most, parse_json_lines(fuzzed_text(bytes), "FILE").size());
  };
  CHECK(fuzz(fuzzed_bytes(lines), fuzz_rounds(10'000), read, "FILE:") > 0);
  CHECK(most == 2);
}

TEST_CASE("sources without text are refused in one sentence") {
  const TemporaryDirectory directory;
  write(directory / "empty", "");
  write(directory / "binary", std::string_view{"ab\0", 3});
  CHECK_THROWS_WITH(read_documents(directory / "empty"), (directory / "empty") + " holds no text.");
  CHECK_THROWS_WITH(read_documents(directory / "binary"),
                    (directory / "binary") + " is not text: byte 2 is NUL.");
  CHECK_THROWS_WITH(read_documents(directory / ""), (directory / "") + " holds no text files.");
  CHECK_THROWS_WITH(read_documents(directory / "none"),
                    (directory / "none") + ": cannot be opened: No such file or directory");
}

TEST_CASE("a hyphen is standard input") {
  std::istringstream input{"typed\ntext"};
  auto* const before = std::cin.rdbuf(input.rdbuf());
  const auto documents = read_documents("-");
  CHECK_THROWS_WITH(read_documents("-"), "Standard input holds no text.");
  std::cin.rdbuf(before);
  REQUIRE(documents.size() == 1);
  CHECK(documents[0].text == "typed\ntext");
}

TEST_CASE("of many documents some are held out whole, whatever their order") {
  auto documents = numbered(200, 10);
  const auto bytes = static_cast<double>(total_bytes(documents));
  const auto split = split_documents(documents, burrow::Key{1});
  CHECK(static_cast<double>(total_bytes(split.held_out)) / bytes == Approx(0.05).margin(0.01));
  CHECK(split.training.size() + split.held_out.size() == 200);
  auto held_out = names(split.held_out);
  CHECK(held_out != names(split_documents(documents, burrow::Key{2}).held_out));
  std::reverse(documents.begin(), documents.end());
  auto again = names(split_documents(documents, burrow::Key{1}).held_out);
  std::reverse(again.begin(), again.end());
  CHECK(again == held_out);
}

TEST_CASE("equal texts stay on one side") {
  auto documents = numbered(200, 10);
  const auto copies = documents;
  documents.insert(documents.end(), copies.begin(), copies.end());
  const auto split = split_documents(documents, burrow::Key{1});
  auto held_out = names(split.held_out);
  std::sort(held_out.begin(), held_out.end());
  for (const auto& document : split.training) {
    CHECK_FALSE(std::binary_search(held_out.begin(), held_out.end(), document.name));
  }
}

TEST_CASE("of few documents the end of each is held out, from a line on") {
  for (const int count : {1, 3, 19}) {
    const auto documents = numbered(count, 100);
    const auto split = split_documents(documents, burrow::Key{1});
    REQUIRE(split.held_out.size() == documents.size());
    for (std::size_t i = 0; i < documents.size(); ++i) {
      CHECK(split.training[i].text + split.held_out[i].text == documents[i].text);
      CHECK(split.training[i].text.back() == '\n');
      const auto size = static_cast<double>(documents[i].text.size());
      CHECK(static_cast<double>(split.held_out[i].text.size()) / size == Approx(0.05).margin(0.03));
    }
  }
}

TEST_CASE("neither side of a split is empty, and no byte is lost") {
  std::vector<std::vector<Document>> sets;
  sets.push_back({{"one line", std::string(256, 'x')}});
  sets.push_back({{"lines", std::string(256, '\n')}});
  sets.push_back({{"wide", all_text(numbered(1, 8)) + "我我我我我我我我我我我我我我我我我我我我"}});
  sets.emplace_back(19, Document{"short", "fourteen bytes"});
  sets.emplace_back(300, Document{"same", "same text\n"});
  sets.push_back(numbered(40, 1));
  sets.back()[7].text = corpus(5000);
  for (const auto& documents : sets) {
    const auto split = split_documents(documents, burrow::Key{1});
    CHECK(total_bytes(split.training) > total_bytes(split.held_out));
    CHECK(total_bytes(split.held_out) > 0);
    CHECK(total_bytes(split.training) + total_bytes(split.held_out) == total_bytes(documents));
  }
  CHECK_THROWS_AS(split_documents({{"short", std::string(255, 'x')}}, burrow::Key{1}), burrow::ValueError);
  CHECK_THROWS_AS(split_documents({}, burrow::Key{1}), burrow::ValueError);
}

TEST_CASE("the default text is this project") {
  const auto documents = default_documents();
  CHECK(total_bytes(documents) > 100'000);
  const auto listed = names(documents);
  CHECK(std::count(listed.begin(), listed.end(), "gopher_model/data/documents.hpp") == 1);
  CHECK(std::count(listed.begin(), listed.end(), "tests/data/documents.cpp") == 1);
}
