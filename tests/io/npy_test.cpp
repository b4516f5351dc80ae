#include <burrow/io/npy.hpp>
#include <catch2/catch.hpp>

#include "tests/fuzz.hpp"
#include "tests/io/temporary_directory.hpp"

namespace {

using burrow::IoError;
using burrow::NpyFile;
using burrow::parse_npy;
using burrow::write_npy;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* const begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

/// A version 1.0 file's bytes from its header's text and the size of its data.
std::vector<std::byte> file_of(const std::string& header, std::size_t data_size) {
  std::string text = std::string("\x93NUMPY\x01\0", 8);
  text += static_cast<char>(header.size() & 0xFF);
  text += static_cast<char>(header.size() >> 8);
  return bytes_of(text + header + std::string(data_size, '\1'));
}

std::string message_of(const std::vector<std::byte>& bytes) {
  try {
    parse_npy(bytes, "FILE");
  } catch (const IoError& error) {
    return error.what();
  }
  return "read";
}

std::string message_of(const std::string& header, std::size_t data_size) {
  return message_of(file_of(header, data_size));
}

void parse_and_touch(const std::vector<std::byte>& bytes) {
  const auto array = parse_npy(bytes, "FILE");
  if (burrow::byte_size(array.dtype, array.shape) != array.bytes.size()) throw std::logic_error("wrong size");
}

template <class T>
void check_round_trip(std::vector<std::int64_t> shape, const std::vector<T>& values) {
  const TemporaryDirectory directory;
  write_npy<T>(directory / "a.npy", shape, values);
  const NpyFile file{directory / "a.npy"};
  REQUIRE(std::vector<std::int64_t>(file.shape().begin(), file.shape().end()) == shape);
  const auto read = file.template values<T>();
  REQUIRE(std::vector<T>(read.begin(), read.end()) == values);
  REQUIRE(std::filesystem::file_size(directory / "a.npy") % 64 == sizeof(T) * values.size() % 64);
}

}  // namespace

TEST_CASE("arrays come back from .npy files", "[npy]") {
  check_round_trip<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  check_round_trip<double>({3}, {1.5, -2.5, 1e300});
  check_round_trip<burrow::half>({2}, {1.5f, -65504.0f});
  check_round_trip<std::int64_t>({}, {-7});
  check_round_trip<std::int32_t>({1, 1, 2}, {-7, 7});
  check_round_trip<std::uint16_t>({3}, {1, 2, 65535});
  check_round_trip<std::uint8_t>({0, 5}, {});
}

TEST_CASE("a header of more than 65535 bytes is written as version 2.0", "[npy]") {
  check_round_trip<float>(std::vector<std::int64_t>(30'000, 1), {1});
  REQUIRE_THAT(burrow::detail::npy_header("<f4", std::vector<std::int64_t>(30'000, 1)),
               StartsWith(std::string("\x93NUMPY\x02\0", 8)));
}

TEST_CASE("the header is the one NumPy writes", "[npy]") {
  const std::string expected = std::string("\x93NUMPY\x01\0v\0", 10) +
                               "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }" +
                               std::string(58, ' ') + "\n";
  REQUIRE(burrow::detail::npy_header("<f4", std::vector<std::int64_t>{2, 3}) == expected);
}

TEST_CASE("headers of other writers are understood", "[npy]") {
  REQUIRE(message_of(R"({"shape":(1,),"descr":"<f4","fortran_order":False})", 4) == "read");
  REQUIRE(message_of("{ 'descr' : '|u1' , 'fortran_order' : True , 'shape' : ( 3 , ) , } \n", 3) == "read");
  REQUIRE(message_of("{'descr': '|b1', 'fortran_order': False, 'shape': ()}", 1) == "read");
}

TEST_CASE("an .npy file that cannot be read gets one sentence", "[npy]") {
  const auto with = [](const std::string& descr, const std::string& order, const std::string& shape) {
    return message_of("{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + "}", 4);
  };
  REQUIRE(with("'<f4'", "False", "(1,)") == "read");
  REQUIRE(message_of(bytes_of("PK\3\4 an archive")) == "FILE: not an .npy file: it lacks the magic bytes");
  REQUIRE(with("'>f4'", "False", "(1,)") == "FILE: has the dtype '>f4', which burrow does not read");
  REQUIRE_THAT(with("'<f4'", "True", "(1, 1)"), StartsWith("FILE: holds an array in column-major order"));
  REQUIRE(with("'<f4'", "False", "(2,)") == "FILE: truncated: the array needs 8 bytes, 4 are there");
  REQUIRE(with("'<f4'", "False", "(0,)") == "FILE: has 4 bytes after the array");
  for (const char* shape : {"(-1,)", "(1.0,)", "(,)", "1", "(1", "(1 1)", "[1]", "(99999999999999999999,)",
                            "(4611686018427387904,)", "(1,,)"}) {
    INFO(shape);
    REQUIRE_THAT(with("'<f4'", "False", shape), StartsWith("FILE: not an .npy file: "));
  }
  REQUIRE_THAT(with("'<f4", "False", "(1,)"), StartsWith("FILE: not an .npy file: "));
  REQUIRE_THAT(with("'<f4'", "Falsy", "(1,)"), StartsWith("FILE: not an .npy file: "));
  REQUIRE_THAT(message_of("{'descr': '<f4'}", 4), Contains("lacks a key"));
  REQUIRE_THAT(message_of("{'descr': '<f4', 'descr': '<f4'}", 4), Contains("repeated"));
}

TEST_CASE("every prefix of an .npy file is refused", "[npy]") {
  const auto whole = file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8);
  REQUIRE(message_of(whole) == "read");
  for (std::size_t size = 0; size < whole.size(); ++size)
    REQUIRE(message_of({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}) != "read");
}

TEST_CASE("what .npy cannot hold is not written", "[npy]") {
  const TemporaryDirectory directory;
  const std::vector<burrow::bf16> values = {burrow::bf16{1.0f}};
  const std::vector<float> floats(3);
  REQUIRE_THROWS_AS(write_npy<burrow::bf16>(directory / "a.npy", {1}, values), burrow::ValueError);
  REQUIRE_THROWS_AS(write_npy<float>(directory / "a.npy", {2}, floats), burrow::ValueError);
  REQUIRE(!std::filesystem::exists(directory / "a.npy"));
}

TEST_CASE("damaged .npy files are read or refused, never more", "[npy][fuzz]") {
  const auto whole = file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", 24);
  REQUIRE(fuzz(whole, fuzz_rounds(50'000), parse_and_touch) > 0);
}
