// Compressed texts: what is packed is unpacked, and what is damaged is said to be, with the place.
#include "gopher_model/data/compression.hpp"

#include <zlib.h>
#include <zstd.h>

#include <array>
#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "gopher_model/data/documents.hpp"
#include "tests/fuzz.hpp"
#include "tests/tokenizer/corpus.hpp"

using namespace gopher;
using namespace gopher::testing;

namespace {

std::string gzip(std::string text) {
  z_stream stream{};
  constexpr int with_gzip_header = 16 + MAX_WBITS;
  REQUIRE(::deflateInit2(&stream, 6, Z_DEFLATED, with_gzip_header, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(::deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  ::deflateEnd(&stream);
  return packed;
}

std::string zstandard(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  packed.resize(ZSTD_compress2(context, packed.data(), packed.size(), text.data(), text.size()));
  ZSTD_freeCCtx(context);
  return packed;
}

struct Format {
  Compression compression;
  std::string (*pack)(std::string);
  std::string ending;
};
const std::array formats{
    Format{Compression::gzip, gzip, ".gz"},
    Format{Compression::zstandard, [](std::string text) { return zstandard(text); }, ".zst"}};

void write(const std::string& path, std::string_view contents) { burrow::write_atomically(path, contents); }

}  // namespace

TEST_CASE("what was packed is unpacked, however many parts it has") {
  for (const Format& format : formats) {
    for (const std::string& text : {std::string{}, std::string{"x"}, corpus(5), std::string(1'000'000, 'a'),
                                    corpus(5000), std::string(1 << 16, 'b')}) {
      const std::string packed = format.pack(text);
      CHECK(compression_of(packed) == format.compression);
      CHECK(unpacked(packed, format.compression, "x") == text);
      CHECK(unpacked(packed + format.pack("end") + packed, format.compression, "x") == text + "end" + text);
    }
    CHECK(compression_of_name("a/b" + format.ending) == format.compression);
  }
  CHECK(compression_of("text") == Compression::none);
  CHECK(compression_of("") == Compression::none);
  CHECK(compression_of_name("a.gz/b") == Compression::none);
  CHECK(unpacked("text", Compression::none, "x") == "text");
}

TEST_CASE("what is cut, changed or followed by something else is damaged at a byte") {
  for (const Format& format : formats) {
    const std::string text = corpus(20), packed = format.pack(text);
    const auto outcome = [&](const std::string& bytes) {
      try {
        return unpacked(bytes, format.compression, "x") == text ? std::string{"text"} : "another text";
      } catch (const burrow::IoError& error) {
        return std::string{error.what()};
      }
    };
    for (std::size_t size = 0; size < packed.size(); ++size) {
      CHECK(
          outcome(packed.substr(0, size)).starts_with("x is damaged at byte " + std::to_string(size) + ": "));
    }
    CHECK(outcome(packed + "notes").starts_with("x is damaged at byte "));
    CHECK(outcome("plain text").starts_with("x is damaged at byte "));
    int believed = 0;
    for (std::uint64_t n = 0; n < 2000; ++n) {
      std::string changed = packed;
      changed[draw(burrow::Key{n}, 0, packed.size())] ^= static_cast<char>(1 << draw(burrow::Key{n}, 1, 8));
      believed += outcome(changed) == "another text";
    }
    CHECK(believed == 0);
  }
}

TEST_CASE("damaged compressed texts are unpacked or refused, never more", "[fuzz]") {
  for (const Format& format : formats) {
    const auto read = [&](const std::vector<std::byte>& bytes) {
      unpacked(fuzzed_text(bytes), format.compression, "FILE");
    };
    fuzz(fuzzed_bytes(format.pack(corpus(5)) + format.pack("end")), fuzz_rounds(5000), read,
         "FILE is damaged at byte ");
  }
}

TEST_CASE("compressed files are read as if they were not, alone and in directories") {
  const TemporaryDirectory directory;
  for (const Format& format : formats) {
    write(directory / ("a.txt" + format.ending), format.pack("plain\n"));
    write(directory / ("b.jsonl" + format.ending), format.pack("{\"text\": \"one\"}\n{\"text\": \"two\"}\n"));
    CHECK(read_documents(directory / ("a.txt" + format.ending)).at(0).text == "plain\n");
    CHECK(read_documents(directory / ("b.jsonl" + format.ending)).size() == 2);
    write(directory / ("wrong.jsonl" + format.ending), format.pack("{\"text\": \"one\"}\n{\"text\": 2}\n"));
    const std::string wrong = directory / ("wrong.jsonl" + format.ending);
    CHECK_THROWS_WITH(read_documents(wrong), Catch::StartsWith(wrong + ":2 is not a JSON object"));
    std::filesystem::remove(wrong);
    write(wrong, "never packed");
    CHECK_THROWS_WITH(read_documents(wrong), Catch::StartsWith(wrong + " is damaged at byte "));
    std::filesystem::remove(wrong);
  }
  write(directory / "archive.tar.gz", gzip(std::string(512, '\0')));
  std::vector<std::string> binary;
  CHECK(read_documents(directory / "", &binary).size() == 6);
  CHECK(binary == std::vector<std::string>{directory / "archive.tar.gz"});
}

TEST_CASE("standard input may be packed, and JSON lines if its first line is one") {
  const auto typed = [](const std::string& text) {
    std::istringstream input{text};
    auto* const before = std::cin.rdbuf(input.rdbuf());
    std::vector<std::string> all;
    std::string refusal;
    try {
      for (const Document& document : read_documents("-")) all.push_back(document.text);
    } catch (const burrow::IoError& error) {
      refusal = error.what();
    }
    std::cin.rdbuf(before);
    return refusal.empty() ? all : std::vector{refusal};
  };
  using Texts = std::vector<std::string>;
  const std::string lines = "\n{\"text\": \"one\", \"id\": 1}\n{\"text\": \"two\"}\n";
  CHECK(typed(lines) == Texts{"one", "two"});
  for (const Format& format : formats) {
    CHECK(typed(format.pack(lines)) == Texts{"one", "two"});
    CHECK(typed(format.pack("text")) == Texts{"text"});
    CHECK_THAT(typed(format.pack(lines).substr(0, 30)).at(0),
               Catch::StartsWith("Standard input is damaged at byte 30: the file ends"));
  }
  CHECK(typed("{\"text\": 3}\n") == Texts{"{\"text\": 3}\n"});
  CHECK(typed("text\n" + lines) == Texts{"text\n" + lines});
  CHECK_THAT(typed(lines + "text\n").at(0), Catch::Equals("Standard input:4 is not valid JSON in UTF-8."));
}
