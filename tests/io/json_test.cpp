// The reader of JSON accepts and reads what a general JSON library does, on texts and on their mutations.
#include <burrow/io/json.hpp>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/fuzz.hpp"

namespace {

using burrow::detail::JsonError;
using burrow::detail::JsonReader;

/// True where the whole text is one JSON value without repeated keys.
bool accepts(std::string_view text) {
  try {
    JsonReader json{text};
    json.skip();
    json.end();
    return true;
  } catch (const JsonError& error) {
    return error.repeated_key.has_value();
  }
}

/// What the library says; nothing where it stops at a number that no double can hold, which is JSON all the
/// same.
std::optional<bool> library_accepts(const std::string& text) {
  try {
    return !nlohmann::json::parse(text).is_discarded();
  } catch (const nlohmann::json::out_of_range&) {
    return {};
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* const begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

const std::vector<std::string> texts{
    R"({"a":{"dtype":"F32","shape":[1, 20,-3],"data_offsets":[0,4]}, "__metadata__" : {"k":"v"}})",
    R"(["\u00e9\ud83d\ude00\n\\\"\/", "", "plain", true, false, null, -0.5e+10, 1E5, 0])",
    "[\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\", {\"\": {}}, [[], [1]]]", "  12  ", "\"x\""};

TEST_CASE("the texts themselves are JSON", "[json]") {
  for (const auto& text : texts) CHECK(accepts(text));
}

TEST_CASE("a mutated text is JSON for the reader where it is for the library", "[json][fuzz]") {
  for (const auto& text : texts) {
    int accepted = 0;
    fuzz(bytes_of(text), fuzz_rounds(20'000), [&](const std::vector<std::byte>& bytes) {
      const std::string mutated{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
      const bool ours = accepts(mutated);
      accepted += ours;
      if (mutated.find('\0') != mutated.npos) return;  // to the library, the end of the text
      if (library_accepts(mutated).value_or(ours) != ours) FAIL("the two differ on: " << mutated);
    });
    CHECK(accepted > 0);
  }
}

TEST_CASE("strings are read and written as the library does", "[json]") {
  for (const std::string text :
       {"", "plain", "\"\\/\b\f\n\r\t\x01\x1f", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"}) {
    const auto written = burrow::detail::json_string(text);
    REQUIRE(written);
    CHECK(JsonReader{*written}.string() == text);
    CHECK(nlohmann::json::parse(*written).get<std::string>() == text);
    const auto theirs = nlohmann::json(text).dump(-1, ' ', true);
    CHECK(JsonReader{theirs}.string() == text);
  }
  CHECK_FALSE(burrow::detail::json_string("\xC3"));
  CHECK_FALSE(burrow::detail::json_string("\xED\xA0\x80"));  // half of a surrogate pair
}

TEST_CASE("sizes are integers from 0 to 2^63 - 1", "[json]") {
  const auto size = [](const char* text) { return JsonReader{text}.size(); };
  CHECK(size("0") == 0);
  CHECK(size(" 9223372036854775807") == INT64_MAX);
  for (const char* text : {"9223372036854775808", "-1", "1.0", "1e0", "99999999999999999999999"}) {
    INFO(text);
    CHECK_FALSE(size(text));
  }
}

TEST_CASE("errors say where, and which key stands twice", "[json]") {
  const auto error_of = [](const char* text) {
    try {
      JsonReader json{text};
      json.skip();
      json.end();
    } catch (const JsonError& error) {
      return error.repeated_key ? *error.repeated_key : std::to_string(error.byte);
    }
    return std::string("none");
  };
  CHECK(error_of("[1,]") == "4");
  CHECK(error_of("[1 2]") == "4");
  CHECK(error_of("01") == "2");
  CHECK(error_of("nul") == "1");
  CHECK(error_of(R"({"a":1,"a":2})") == "a");
  CHECK(error_of(R"({"":1,"":2})").empty());
  CHECK(error_of(std::string(1000, '[').c_str()) == "66");
}

}  // namespace
