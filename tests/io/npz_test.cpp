#include <burrow/io/npz.hpp>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz.hpp"
#include "tests/io/temporary_directory.hpp"

namespace {

using burrow::IoError;
using burrow::NamedArray;
using burrow::NpyArray;
using burrow::NpzFile;
using burrow::StoredType;
using burrow::write_npz;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace detail = burrow::detail;

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text) {
  const auto* const begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

const std::vector<float> six = {1, 2, 3, 4, 5, 6};

std::string npy_of(const std::vector<float>& values) {
  const NpyArray array{
      StoredType::f32, {static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span{values})};
  std::string text = detail::npy_header_of(array, "test", burrow::Location::here());
  text.append(reinterpret_cast<const char*>(values.data()), 4 * values.size());
  return text;
}

void put(std::string& text, std::size_t at, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) text[at + i] = static_cast<char>(value >> 8 * i & 0xFF);
}

/// An entry of an archive that is made by hand.
struct Part {
  std::string name, content;
  std::string stored = content;
  std::uint16_t method = 0, flags = 0;
};

/// An archive; `limit` as in zip_header.
Bytes archive_of(const std::vector<Part>& parts, std::uint64_t limit = 0xFFFFFFFF) {
  std::string file, directory;
  for (const Part& part : parts) {
    const std::uint32_t crc = detail::crc32_of(bytes_of(part.content));
    const detail::ZipRecord record{part.name, crc, part.stored.size(), file.size()};
    std::string local = detail::zip_header(record, false, limit),
                line = detail::zip_header(record, true, limit);
    for (auto* const header : {&local, &line}) {
      const std::size_t shift = header == &line ? 2 : 0;
      put(*header, 6 + shift, part.flags, 2);
      put(*header, 8 + shift, part.method, 2);
      if (part.content.size() != part.stored.size()) put(*header, 22 + shift, part.content.size(), 4);
    }
    file += local + part.stored;
    directory += line;
  }
  return bytes_of(file + directory +
                  detail::zip_end_records(parts.size(), file.size(), directory.size(), limit));
}

/// Reads all arrays; returns the sum of their bytes.
unsigned read_all(const Bytes& bytes) {
  unsigned sum = 0;
  for (const auto& entry : detail::npz_entries(bytes, "FILE")) {
    const auto array = detail::npz_array(entry, nullptr, "FILE: array '" + entry.name + "'");
    if (burrow::byte_size(array.dtype, array.shape) != array.bytes.size())
      throw std::logic_error("wrong size");
    for (const std::byte value : array.bytes) sum += std::to_integer<unsigned>(value);
  }
  return sum;
}

std::string message_of(const Bytes& bytes) {
  try {
    read_all(bytes);
  } catch (const IoError& error) {
    return error.what();
  }
  return "read";
}

Bytes small_archive() { return archive_of({{"weight.npy", npy_of(six)}, {"bias.npy", npy_of({0.5f})}}); }

}  // namespace

TEST_CASE("the check value is that of the standard", "[npz]") {
  REQUIRE(detail::crc32_of(bytes_of("123456789")) == 0xCBF43926);
  REQUIRE(detail::crc32_of({}) == 0);
  const Bytes whole = bytes_of("The gopher digs a burrow, and another one beside it.");
  for (std::size_t cut = 0; cut <= whole.size(); ++cut)
    REQUIRE(detail::crc32_of(std::span{whole}.subspan(cut), detail::crc32_of(std::span{whole}.first(cut))) ==
            detail::crc32_of(whole));
}

TEST_CASE("arrays come back from an .npz file", "[npz]") {
  const TemporaryDirectory directory;
  const auto path = directory / "all.npz";
  const std::vector<std::int64_t> longs = {-1, std::int64_t{1} << 40};
  const std::vector<NamedArray> arrays = {{"six", {StoredType::f32, {2, 3}, std::as_bytes(std::span{six})}},
                                          {"longs", {StoredType::i64, {2}, std::as_bytes(std::span{longs})}},
                                          {"folder/empty", {StoredType::f64, {0, 4}, {}}}};
  write_npz(path, arrays);
  const NpzFile file{path};
  REQUIRE(file.names() == std::vector<std::string>{"six", "longs", "folder/empty"});
  for (const auto& [name, expected] : arrays) {
    const auto array = file.at(name);
    REQUIRE(array.dtype == expected.dtype);
    REQUIRE(array.shape == expected.shape);
    REQUIRE(std::equal(array.bytes.begin(), array.bytes.end(), expected.bytes.begin(), expected.bytes.end()));
  }
  REQUIRE_THROWS_WITH(file.at("seven"), path.string() + ": has no array 'seven'");
  const auto bytes = burrow::read_text(path);
  write_npz(path, arrays);
  REQUIRE(burrow::read_text(path) == bytes);
  write_npz(path, {});
  REQUIRE(NpzFile{path}.names().empty());
}

TEST_CASE("an array outlives its file object", "[npz]") {
  const TemporaryDirectory directory;
  write_npz(directory / "a.npz",
            std::vector<NamedArray>{{"six", {StoredType::f32, {6}, std::as_bytes(std::span{six})}}});
  const auto array = NpzFile{directory / "a.npz"}.at("six");
  std::vector<float> copied(6);
  burrow::copy_values<float>(array.bytes, array.dtype, copied, "six");
  REQUIRE(copied == six);
}

TEST_CASE("numbers of 64 bits are read and written", "[npz]") {
  for (const std::uint64_t limit : {1u, 100u, 1000u})
    REQUIRE(read_all(archive_of({{"a.npy", npy_of(six)}, {"b.npy", npy_of({7})}}, limit)) ==
            read_all(archive_of({{"a.npy", npy_of(six)}, {"b.npy", npy_of({7})}})));
}

TEST_CASE("an archive may have a comment after it", "[npz]") {
  auto bytes = small_archive();
  const std::string comment = "PK\5\6 a comment";
  bytes[bytes.size() - 2] = static_cast<std::byte>(comment.size());
  const auto more = bytes_of(comment);
  bytes.insert(bytes.end(), more.begin(), more.end());
  REQUIRE(message_of(bytes) == "read");
}

TEST_CASE("an archive that cannot be read gets one sentence", "[npz]") {
  const std::string npy = npy_of(six);
  REQUIRE(message_of(small_archive()) == "read");
  REQUIRE(message_of(bytes_of("short")) == "FILE: not a zip archive: it has 5 bytes");
  REQUIRE(message_of(Bytes(100)) == "FILE: not a zip archive: it has no end record; is it whole?");
  REQUIRE(message_of(archive_of({{"a.npy", npy}, {"a.npy", npy}})) == "FILE: has two arrays 'a'");
  REQUIRE(message_of(archive_of({{"a.npy", npy, npy, 0, 1}})) == "FILE: array 'a': is encrypted");
  REQUIRE(message_of(archive_of({{"a.npy", npy, npy, 12}})) ==
          "FILE: array 'a': is compressed by method 12; burrow reads stored and deflated arrays");
  REQUIRE(message_of(archive_of({{"a.npy", npy, npy + "more"}})) ==
          "FILE: array 'a': is damaged: it has " + std::to_string(npy.size() + 4) + " bytes, not " +
              std::to_string(npy.size()));
  std::string other = npy;
  other.back() ^= 1;
  REQUIRE(message_of(archive_of({{"a.npy", npy, other}})) ==
          "FILE: array 'a': is damaged: its check value is another");
  REQUIRE(message_of(archive_of({{"notes.txt", "text"}})) ==
          "FILE: array 'notes.txt': not an .npy file: it lacks the magic bytes");
}

TEST_CASE("every prefix of an archive is refused", "[npz]") {
  const auto whole = small_archive();
  for (std::size_t size = 0; size < whole.size(); ++size)
    REQUIRE_THAT(message_of({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}),
                 StartsWith("FILE: "));
}

TEST_CASE("entries that share their bytes are refused", "[npz]") {
  const std::string npy = npy_of(six);
  const detail::ZipRecord record{"a.npy", detail::crc32_of(bytes_of(npy)), npy.size(), 0};
  const std::string local = detail::zip_header(record, false) + npy, line = detail::zip_header(record, true);
  REQUIRE(
      message_of(bytes_of(local + line + line + detail::zip_end_records(2, local.size(), 2 * line.size()))) ==
      "FILE: not a zip archive: two of its parts overlap");
}

TEST_CASE("what an .npz file cannot hold is not written", "[npz]") {
  const TemporaryDirectory directory;
  const NamedArray six_array{"six", {StoredType::f32, {6}, std::as_bytes(std::span{six})}};
  const auto write = [&](const std::vector<NamedArray>& arrays) { write_npz(directory / "a.npz", arrays); };
  REQUIRE_THROWS_WITH(write({six_array, six_array}),
                      Catch::StartsWith("write_npz: two arrays are named 'six' ["));
  REQUIRE_THROWS_AS(write({{"", six_array.array}}), burrow::ValueError);
  REQUIRE_THROWS_AS(write({{"a", {StoredType::f32, {5}, six_array.array.bytes}}}), burrow::ValueError);
  REQUIRE_THROWS_AS(write({{"a", {StoredType::bf16, {12}, six_array.array.bytes}}}), burrow::ValueError);
  REQUIRE(!std::filesystem::exists(directory / "a.npz"));
}

#if defined(BURROW_WITH_ZLIB)

namespace {

std::string deflated(const std::string& content) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ::deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

Part deflated_part(const std::string& content) { return {"a.npy", content, deflated(content), 8}; }

}  // namespace

TEST_CASE("deflated arrays are unpacked", "[npz]") {
  for (const std::size_t size : {0u, 1u, 100u, 100'000u}) {
    const std::string npy = npy_of(std::vector<float>(size, 1.5f));
    REQUIRE(read_all(archive_of({deflated_part(npy)})) == read_all(archive_of({{"a.npy", npy}})));
  }
}

TEST_CASE("a deflated array of a wrong size or that is damaged is refused", "[npz]") {
  const std::string npy = npy_of(six);
  for (const std::size_t size : {npy.size() - 1, npy.size() + 1}) {
    Part part = deflated_part(npy);
    part.content.resize(size);
    REQUIRE(message_of(archive_of({part})) == "FILE: array 'a': is damaged: it cannot be unpacked");
  }
  Part cut = deflated_part(npy);
  cut.stored.pop_back();
  REQUIRE(message_of(archive_of({cut})) == "FILE: array 'a': is damaged: it cannot be unpacked");
  Part bomb = deflated_part(npy);
  bomb.content.resize(1'000'000);
  REQUIRE_THAT(message_of(archive_of({bomb})), Contains("cannot be that of so few packed bytes"));
}

TEST_CASE("damaged compressed .npz files are read or refused, never more", "[npz][fuzz]") {
  const auto whole = archive_of({deflated_part(npy_of(std::vector<float>(50, 2.5f)))});
  REQUIRE(fuzz(whole, fuzz_rounds(20'000), read_all) > 0);
}

#else

TEST_CASE("without zlib a deflated array says what to do", "[npz]") {
  REQUIRE_THAT(message_of(archive_of({{"a.npy", npy_of(six), "packed", 8}})),
               Contains("array 'a': is compressed") && Contains("link burrow::zlib"));
}

#endif

TEST_CASE("damaged .npz files are read or refused, never more", "[npz][fuzz]") {
  REQUIRE(fuzz(small_archive(), fuzz_rounds(20'000), read_all) > 0);
  REQUIRE(fuzz(archive_of({{"weight.npy", npy_of(six)}}, 1), fuzz_rounds(10'000), read_all) > 0);
}

namespace {

/// The arrays that tests/python/files.py knows, kept here.
struct PythonArrays {
  std::vector<float> matrix = std::vector<float>(12);
  std::vector<std::int64_t> longs = {-(std::int64_t{1} << 40)};
  std::vector<double> doubles = {1.0, 1e-300};
  std::vector<double> zeros = std::vector<double>(100'000);
  std::vector<std::uint8_t> bytes = {1, 2, 3}, flags = {1, 0};
  std::vector<std::uint16_t> shorts = {65535}, halves = {0x3800};
  std::vector<std::int32_t> ints = {-5};

  PythonArrays() {
    for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] = static_cast<float>(i) / 2;
  }

  std::vector<NamedArray> arrays() const {
    const auto of = [](const char* name, StoredType type, std::vector<std::int64_t> shape,
                       const auto& values) {
      return NamedArray{name, {type, std::move(shape), std::as_bytes(std::span{values})}};
    };
    return {of("matrix", StoredType::f32, {3, 4}, matrix),
            of("long", StoredType::i64, {1}, longs),
            of("double", StoredType::f64, {2}, doubles),
            of("flag", StoredType::boolean, {2}, flags),
            of("byte", StoredType::u8, {3}, bytes),
            of("short", StoredType::u16, {1}, shorts),
            of("int", StoredType::i32, {}, ints),
            of("half", StoredType::f16, {1}, halves),
            of("empty", StoredType::f32, {0, 7}, std::vector<float>{}),
            of("zeros", StoredType::f64, {100'000}, zeros)};
  }
};

}  // namespace

// The two halves of tests/python/files.py, which names the directory.
TEST_CASE("write an npz file for Python", "[.python]") {
  const std::filesystem::path directory = std::getenv("BURROW_EXCHANGE");
  const PythonArrays sample;
  write_npz(directory / "from_burrow.npz", sample.arrays());
  burrow::write_npy(directory / "from_burrow.npy", sample.arrays()[0].array);
}

TEST_CASE("read the npz files that Python wrote", "[.python]") {
  const std::filesystem::path directory = std::getenv("BURROW_EXCHANGE");
  const PythonArrays sample;
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    const NpzFile file{directory / name};
    REQUIRE(file.names().size() == sample.arrays().size());
    for (const auto& [array_name, expected] : sample.arrays()) {
      INFO(name << ": " << array_name);
#if !defined(BURROW_WITH_ZLIB)
      if (std::string_view{name} == "deflated.npz") {
        REQUIRE_THROWS_WITH(file.at(array_name), Contains("link burrow::zlib"));
        continue;
      }
#endif
      const auto array = file.at(array_name);
      REQUIRE(array.dtype == expected.dtype);
      REQUIRE(array.shape == expected.shape);
      REQUIRE(
          std::equal(array.bytes.begin(), array.bytes.end(), expected.bytes.begin(), expected.bytes.end()));
    }
  }
  const burrow::NpyFile npy{directory / "from_python.npy"};
  const auto values = npy.values<float>();
  REQUIRE(std::vector<float>(values.begin(), values.end()) == sample.matrix);
}
