#include <burrow/io/file.hpp>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <thread>

#include "tests/io/file_size_limit.hpp"
#include "tests/io/temporary_directory.hpp"

namespace {

using burrow::IoError;
using burrow::MappedFile;
using burrow::read_text;
using burrow::write_atomically;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::size_t files_in(const TemporaryDirectory& directory) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory.path())) ++count;
  return count;
}

}  // namespace

TEST_CASE("what is written atomically is read and mapped back", "[file]") {
  const TemporaryDirectory directory;
  const auto path = directory / "data";
  for (const std::string& content :
       {std::string{}, std::string{"burrow\0bytes", 12}, std::string(100'001, 'x')}) {
    write_atomically(path, content);
    REQUIRE(read_text(path) == content);
    REQUIRE(text_of(MappedFile{path}.bytes()) == content);
    REQUIRE(files_in(directory) == 1);
  }
}

TEST_CASE("a mapping moves with its bytes and survives the file's replacement", "[file]") {
  const TemporaryDirectory directory;
  const auto path = directory / "data";
  write_atomically(path, "first");
  MappedFile first{path};
  write_atomically(path, "second");
  MappedFile second{path};
  MappedFile moved{std::move(first)};
  REQUIRE(text_of(moved.bytes()) == "first");
  moved = std::move(second);
  REQUIRE(text_of(moved.bytes()) == "second");
}

TEST_CASE("a file that cannot be opened is named, with the reason", "[file]") {
  const TemporaryDirectory directory;
  const auto missing = directory / "missing";
  const auto starts = StartsWith(missing.string() + ": ");
  const auto ends = EndsWith("No such file or directory");
  REQUIRE_THROWS_WITH(read_text(missing), starts && ends);
  REQUIRE_THROWS_WITH(MappedFile{missing}, starts && ends);
  REQUIRE_THROWS_WITH(write_atomically(missing / "below", "text"),
                      StartsWith((missing / "below").string() + ": ") && ends);
  REQUIRE_THROWS_AS(read_text(directory.path()), IoError);
  REQUIRE_THROWS_WITH(MappedFile{directory.path()}, EndsWith(": not a regular file"));
  REQUIRE_THROWS_WITH(MappedFile{"/dev/null"}, "/dev/null: not a regular file");
}

TEST_CASE("a failed write leaves the previous file and nothing else", "[file]") {
  const TemporaryDirectory directory;
  const auto path = directory / "data";
  write_atomically(path, "previous");

  SECTION("a full disk, after a short write") {
    const FileSizeLimit limit{1000};
    REQUIRE_THROWS_WITH(write_atomically(path, std::string(5000, 'x')),
                        path.string() + ": cannot be written: File too large");
  }
  SECTION("the writer gives up") {
    const auto writer = [](burrow::AtomicFile& file) {
      file.write("half");
      throw std::runtime_error("interrupted");
    };
    REQUIRE_THROWS_WITH(write_atomically(path, writer), "interrupted");
  }
  REQUIRE(read_text(path) == "previous");
  REQUIRE(files_in(directory) == 1);
}

TEST_CASE("a directory or a device is never replaced by a file", "[file]") {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "data");
  REQUIRE_THROWS_WITH(write_atomically(directory / "data", "text"),
                      (directory / "data").string() + ": cannot be replaced: it is not a regular file");
  REQUIRE_THROWS_AS(write_atomically("/dev/null", "text"), IoError);
  REQUIRE(files_in(directory) == 1);
}

TEST_CASE("a pipe, which has no size, is read to its end", "[file]") {
  const TemporaryDirectory directory;
  const auto path = directory / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const std::string sent(300'000, 'p');
  std::thread writer{[&] {
    const burrow::detail::Descriptor end{path, O_WRONLY};
    for (std::string_view rest = sent; !rest.empty();)
      rest.remove_prefix(static_cast<std::size_t>(::write(end.value(), rest.data(), rest.size())));
  }};
  const std::string received = burrow::read_text(path);
  writer.join();
  REQUIRE(received == sent);
}

TEST_CASE("a relative path without a directory is written in the current one", "[file]") {
  const TemporaryDirectory directory;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  write_atomically("data", "here");
  std::filesystem::current_path(before);
  REQUIRE(read_text(directory / "data") == "here");
}
