#include <burrow/io/safetensors.hpp>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <map>
#include <numeric>

#include "tests/fuzz.hpp"
#include "tests/io/temporary_directory.hpp"

namespace {

using burrow::IoError;
using burrow::parse_safetensors;
using burrow::SafetensorsFile;
using burrow::StoredType;
using burrow::tensor_entry;
using burrow::TensorEntry;
using burrow::ValueError;
using burrow::write_safetensors;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

/// A file's bytes from the text of its header and the size of its data.
std::vector<std::byte> file_of(const std::string& header, std::size_t data_size) {
  const std::uint64_t length = header.size();
  std::vector<std::byte> bytes(sizeof length + header.size() + data_size, std::byte{1});
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + sizeof length, header.data(), header.size());
  return bytes;
}

std::string message_of(const std::vector<std::byte>& bytes) {
  try {
    parse_safetensors(bytes, "FILE");
  } catch (const IoError& error) {
    return error.what();
  }
  return "read";
}
std::string message_of(const std::string& header, std::size_t data_size) {
  return message_of(file_of(header, data_size));
}

/// One tensor of every type, their values kept here.
struct Sample {
  std::vector<double> doubles = {1.5, -2.25, 1e300};
  std::vector<float> floats = {1, 2, 3, 4, 5, 6};
  std::vector<burrow::bf16> bf16s = {burrow::bf16{0.5f}, burrow::bf16{-3.0f}};
  std::vector<std::int64_t> longs = {-1, std::int64_t{1} << 40};
  std::vector<std::int32_t> ints = {-7};
  std::vector<std::uint16_t> shorts = {65535, 1, 2};
  std::vector<std::uint8_t> bytes = {0, 255, 7};
  std::array<bool, 3> bools = {true, false, true};

  std::vector<TensorEntry> entries() const {
    return {tensor_entry<bool>("mask", {3}, bools),
            tensor_entry<float>("blocks.0.weight", {2, 3}, floats),
            tensor_entry<double>("scale", {3, 1}, doubles),
            tensor_entry<burrow::bf16>("half \"quoted\" \xC3\xA9", {2}, bf16s),
            tensor_entry<std::int64_t>("step", {2}, longs),
            tensor_entry<std::int32_t>("scalar", {}, ints),
            tensor_entry<std::uint16_t>("tokens", {3}, shorts),
            tensor_entry<std::uint8_t>("bytes", {3}, bytes),
            tensor_entry<float>("empty", {0, 4}, {}),
            {"f16", StoredType::f16, {3}, std::as_bytes(std::span{shorts})}};
  }
};

std::vector<std::byte> small_file() {
  const TemporaryDirectory directory;
  const std::vector<float> weight = {1, 2, 3, 4};
  const std::vector<std::uint8_t> flags = {1, 0, 1};
  write_safetensors(directory / "small",
                    std::vector{tensor_entry<float>("weight", {2, 2}, weight),
                                tensor_entry<float>("bias", {2, 1}, std::span{weight}.first(2)),
                                tensor_entry<std::uint8_t>("flags", {3}, flags)},
                    {{"step", "12"}});
  const std::string text = burrow::read_text(directory / "small");
  const auto bytes = std::as_bytes(std::span{text});
  return {bytes.begin(), bytes.end()};
}

void parse_and_touch(const std::vector<std::byte>& bytes) {
  unsigned sum = 0;
  for (const TensorEntry& entry : parse_safetensors(bytes, "FILE").entries) {
    if (burrow::byte_size(entry.dtype, entry.shape) != entry.bytes.size())
      throw std::logic_error("wrong size");
    for (const std::byte value : entry.bytes) sum += std::to_integer<unsigned>(value);
  }
  if (sum == 0xFFFFFFFF) throw std::logic_error("never");
}

}  // namespace

TEST_CASE("tensors of every type come back from a safetensors file", "[safetensors]") {
  const TemporaryDirectory directory;
  const auto path = directory / "all.safetensors";
  const Sample sample;
  const std::map<std::string, std::string> metadata = {{"format", "burrow"}, {"note", "\"\\\n\xC3\xA9"}};
  write_safetensors(path, sample.entries(), metadata);
  SafetensorsFile opened{path};
  const SafetensorsFile file{std::move(opened)};
  REQUIRE(file.metadata() == metadata);
  REQUIRE(file.entries().size() == sample.entries().size());
  for (const TensorEntry& expected : sample.entries()) {
    INFO(expected.name);
    const TensorEntry& entry = file.at(expected.name);
    REQUIRE(entry.dtype == expected.dtype);
    REQUIRE(entry.shape == expected.shape);
    REQUIRE(std::equal(entry.bytes.begin(), entry.bytes.end(), expected.bytes.begin(), expected.bytes.end()));
    const auto address = reinterpret_cast<std::uintptr_t>(entry.bytes.data());
    REQUIRE(address % burrow::byte_size(entry.dtype) == 0);
  }
  REQUIRE(file.values<double>("scale")[1] == -2.25);
  REQUIRE(file.values<bool>("mask")[2]);
  std::vector<float> copied(6);
  file.copy_to<float>("blocks.0.weight", copied);
  REQUIRE(copied == sample.floats);
  REQUIRE(file.find("nothing") == nullptr);
}

TEST_CASE("the order of writing does not change the file", "[safetensors]") {
  const TemporaryDirectory directory;
  const Sample sample;
  auto entries = sample.entries();
  write_safetensors(directory / "a", entries);
  std::reverse(entries.begin(), entries.end());
  write_safetensors(directory / "b", entries);
  const auto bytes = burrow::read_text(directory / "a");
  REQUIRE(bytes == burrow::read_text(directory / "b"));
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  REQUIRE(header % 8 == 0);
  REQUIRE(bytes[8] == '{');
}

TEST_CASE("a tensor is not taken for what it is not", "[safetensors]") {
  const TemporaryDirectory directory;
  const Sample sample;
  write_safetensors(directory / "all", sample.entries());
  const SafetensorsFile file{directory / "all"};
  const std::string path = (directory / "all").string();
  std::vector<float> five(5);
  REQUIRE_THROWS_WITH(file.values<float>("scale"), path + ": tensor 'scale': holds double, expected float");
  REQUIRE_THROWS_WITH(file.copy_to<float>("blocks.0.weight", five),
                      path + ": tensor 'blocks.0.weight': holds 6 values, expected 5");
  REQUIRE_THROWS_WITH(file.at("nothing"), path + ": has no tensor 'nothing'");

  // Valid, but of another writer: a float at an odd byte, a bool that is 7.
  const std::string header = R"({"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},)"
                             R"("b":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})";
  auto bytes = file_of(header, 5);
  const std::size_t data = bytes.size() - 5;
  bytes[data] = std::byte{7};
  burrow::write_atomically(directory / "odd", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const SafetensorsFile odd{directory / "odd"};
  const bool aligned = (data + 1) % alignof(float) == 0;
  if (!aligned) REQUIRE_THROWS_WITH(odd.values<float>("f"), Contains("not aligned"));
  std::vector<float> one(1);
  REQUIRE_NOTHROW(odd.copy_to<float>("f", one));
  REQUIRE_THROWS_WITH(odd.values<bool>("b"), Contains("neither 0 nor 1"));
}

TEST_CASE("write_safetensors refuses what would not be a valid file", "[safetensors]") {
  const TemporaryDirectory directory;
  const std::vector<float> two(2);
  const auto write = [&](const std::vector<TensorEntry>& entries) {
    write_safetensors(directory / "bad", entries);
  };
  const auto entry = [&](const char* name, std::vector<std::int64_t> shape) {
    return tensor_entry<float>(name, std::move(shape), two);
  };
  REQUIRE_THROWS_AS(write({entry("a", {2}), entry("a", {2})}), ValueError);
  REQUIRE_THROWS_AS(write({entry("__metadata__", {2})}), ValueError);
  REQUIRE_THROWS_AS(write({entry("a", {3})}), ValueError);
  REQUIRE_THROWS_AS(write({entry("a", {-1, -2})}), ValueError);
  REQUIRE_THROWS_AS(write({entry("\xFF", {2})}), ValueError);
  REQUIRE(!std::filesystem::exists(directory / "bad"));
}

TEST_CASE("every prefix of a safetensors file is refused", "[safetensors]") {
  const auto whole = small_file();
  REQUIRE(message_of(whole) == "read");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string message =
        message_of({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    INFO(size << " bytes: " << message);
    if (size < 8)
      REQUIRE_THAT(message, StartsWith("FILE: not a safetensors file: "));
    else
      REQUIRE_THAT(message, StartsWith("FILE: truncated: "));
  }
}

TEST_CASE("a file that is not safetensors gets one sentence", "[safetensors]") {
  const std::string f4 = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  const std::string foreign = "#!/bin/sh\necho this is a shell script\n";
  const auto* const begin = reinterpret_cast<const std::byte*>(foreign.data());
  REQUIRE_THAT(message_of({begin, begin + foreign.size()}), StartsWith("FILE: not a safetensors file: "));
  REQUIRE(message_of("{\"a\":", 0) == "FILE: not a safetensors file: its header is not JSON at byte 6");
  REQUIRE(message_of("", 4) == "FILE: not a safetensors file: its header is not JSON at byte 1");
  REQUIRE(message_of("[]", 0) == "FILE: not a safetensors file: its header does not begin with '{'");
  REQUIRE(message_of("{}", 1) == "FILE: not a safetensors file: it has 1 bytes after the last tensor");
  REQUIRE(message_of("{}    ", 0) == "read");
  REQUIRE(message_of(R"({"a":{)" + f4 + R"(},"a":{)" + f4 + "}}", 4) ==
          "FILE: not a safetensors file: its header has 'a' twice");
  REQUIRE(message_of(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1) ==
          "FILE: tensor 'a' has the dtype 'F8_E4M3', which burrow does not know");
  REQUIRE(message_of(R"({"a":{)" + f4 + R"(},"b":{)" + f4 + "}}", 8) ==
          "FILE: not a safetensors file: tensor 'b' begins at byte 0, the one before ends at 4");
  REQUIRE(message_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8) ==
          "FILE: not a safetensors file: tensor 'a' begins at byte 4, the one before ends at 0");
  REQUIRE(message_of("{\"a\":{" + f4 + "}}", 3) == "FILE: truncated: the tensors need 4 bytes, 3 are there");
  REQUIRE_THAT(message_of(R"({"__metadata__":{"a":1}})", 0), Contains("its metadata 'a' is not a string"));
}

TEST_CASE("sizes that lie are refused", "[safetensors]") {
  const auto with = [](const std::string& shape, const std::string& offsets) {
    return message_of(R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", 4);
  };
  REQUIRE(with("[1]", "[0,4]") == "read");
  REQUIRE(with("[]", "[0,4]") == "read");
  REQUIRE(with("[1,1,1]", "[0,4]") == "read");
  for (const char* shape :
       {"[2]", "[-1]", "[1.0]", "[\"1\"]", "[true]", "1", "null", "[4611686018427387904,4]",
        "[9223372036854775807,9223372036854775807]", "[18446744073709551615]", "[1e0]",
        "[4294967296,4294967296]", "[99999999999999999999]"}) {
    INFO(shape);
    REQUIRE_THAT(with(shape, "[0,4]"), StartsWith("FILE: not a safetensors file: "));
  }
  for (const char* offsets :
       {"[4,0]", "[0]", "[0,4,8]", "[-4,0]", "[0,18446744073709551615]", "{}", "[0,4.0]"}) {
    INFO(offsets);
    REQUIRE_THAT(with("[1]", offsets), StartsWith("FILE: not a safetensors file: "));
  }
  REQUIRE_THAT(with("[4611686018427387903]", "[0,4]"), Contains("contradict"));
  REQUIRE_THAT(with("[0,9223372036854775807,9223372036854775807]", "[0,0]"), Contains("contradict"));
}

TEST_CASE("a header length beyond reason allocates nothing", "[safetensors]") {
  auto bytes = small_file();
  for (const std::uint64_t length : {~std::uint64_t{0}, std::uint64_t{1} << 62, std::uint64_t{100'000'001}}) {
    std::memcpy(bytes.data(), &length, sizeof length);
    REQUIRE_THAT(message_of(bytes), Contains("its header would have " + std::to_string(length) + " bytes"));
  }
}

TEST_CASE("damaged safetensors files are read or refused, never more", "[safetensors][fuzz]") {
  const int rounds = fuzz_rounds(50'000);
  const int read = fuzz(small_file(), rounds, parse_and_touch);
  REQUIRE(read > 0);
  REQUIRE(read < rounds / 2);
}

// The two halves of tests/python/files.py, which names the directory.
TEST_CASE("write a safetensors file for Python", "[.python]") {
  const std::filesystem::path directory = std::getenv("BURROW_EXCHANGE");
  write_safetensors(directory / "from_burrow.safetensors", Sample{}.entries(), {{"writer", "burrow"}});
}

TEST_CASE("read the safetensors file that Python wrote", "[.python]") {
  const std::filesystem::path directory = std::getenv("BURROW_EXCHANGE");
  const SafetensorsFile file{directory / "from_python.safetensors"};
  REQUIRE(file.metadata() == std::map<std::string, std::string>{{"writer", "python"}});
  const auto matrix = file.values<float>("matrix");
  REQUIRE(file.at("matrix").shape == std::vector<std::int64_t>{3, 4});
  for (std::size_t i = 0; i < 12; ++i) REQUIRE(matrix[i] == static_cast<float>(i) / 2);
  REQUIRE(file.values<std::int64_t>("long")[0] == std::int64_t{-1} << 40);
  REQUIRE(file.values<double>("double")[1] == 1e-300);
  REQUIRE(file.values<bool>("flag")[0]);
  REQUIRE(file.values<std::uint8_t>("byte").size() == 3);
  REQUIRE(file.values<std::uint16_t>("short")[0] == 65535);
  REQUIRE(file.values<std::int32_t>("int")[0] == -5);
  REQUIRE(file.at("half").dtype == StoredType::f16);
  REQUIRE(file.at("empty").shape == std::vector<std::int64_t>{0, 7});
}
