#include <burrow/core/dtype.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <sstream>

using namespace burrow;

namespace {

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

}  // namespace

TEST_CASE("Every bf16 pattern converts to float and back to itself") {
  std::size_t wrong = 0, nans = 0;
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const auto x = bf16::from_bits(static_cast<std::uint16_t>(pattern));
    const float value = x;
    if (std::bit_cast<std::uint32_t>(value) != pattern << 16) ++wrong;
    if (std::isnan(value)) {
      ++nans;
      if (!std::isnan(static_cast<float>(bf16{value}))) ++wrong;
    } else if (bf16{value}.bits() != pattern) {
      ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(nans == 2 * 127);
}

TEST_CASE("bf16 rounds to the nearest, and ties to the even pattern, at every pattern") {
  std::size_t wrong = 0;
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    if ((pattern & 0x7F80u) == 0x7F80u) continue;  // infinities and NaNs have no neighbour above
    const std::uint32_t here = pattern << 16;
    const auto rounded = [](std::uint32_t bits) { return std::uint32_t{bf16{from_bits(bits)}.bits()}; };
    const std::uint32_t even = pattern % 2 == 0 ? pattern : pattern + 1;
    if (rounded(here + 0x7FFF) != pattern) ++wrong;
    if (rounded(here + 0x8000) != even) ++wrong;
    if (rounded(here + 0x8001) != pattern + 1) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("bf16 keeps infinities, and NaN stays NaN whatever its payload") {
  CHECK(bf16{std::numeric_limits<float>::infinity()}.bits() == 0x7F80);
  CHECK(bf16{-std::numeric_limits<float>::infinity()}.bits() == 0xFF80);
  CHECK(bf16{std::numeric_limits<float>::max()}.bits() == 0x7F80);
  for (const std::uint32_t bits :
       {0x7F800001u, 0x7F80FFFFu, 0x7FFFFFFFu, 0xFF800001u, 0xFFFFFFFFu, 0x7FC00000u})
    CHECK(std::isnan(static_cast<float>(bf16{from_bits(bits)})));
}

TEST_CASE("bf16 computes in float and prints as a number") {
  static_assert(std::same_as<decltype(bf16{1.5f} * bf16{2.0f}), float>);
  static_assert(static_cast<float>(bf16{1.5f}) == 1.5f);
  static_assert(sizeof(bf16) == 2);
  std::ostringstream text;
  text << bf16{-2.5f} << ' ' << bf16{3};
  CHECK(text.str() == "-2.5 3");
}

TEST_CASE("Element types, their compute types and names") {
  static_assert(Element<float> && Element<double> && Element<bf16> && Element<half> && Element<bool> &&
                Element<std::int32_t> && Element<std::int64_t> && Element<std::uint8_t> &&
                Element<std::uint16_t>);
  static_assert(!Element<char> && !Element<std::int16_t> && !Element<long double> && !Element<void*>);
  static_assert(Real<float> && Real<double> && Real<bf16> && Real<half> && !Real<std::int32_t> &&
                !Real<bool>);
  static_assert(std::same_as<compute_type<bf16>, float> && std::same_as<compute_type<half>, float> &&
                std::same_as<compute_type<double>, double> &&
                std::same_as<compute_type<std::int32_t>, std::int32_t>);
  CHECK(dtype_name<float>() == "float");
  CHECK(dtype_name<double>() == "double");
  CHECK(dtype_name<half>() == "half");
  CHECK(dtype_name<bf16>() == "bf16");
  CHECK(dtype_name<bool>() == "bool");
  CHECK(dtype_name<std::int32_t>() == "int32");
  CHECK(dtype_name<std::int64_t>() == "int64");
  CHECK(dtype_name<std::uint8_t>() == "uint8");
  CHECK(dtype_name<std::uint16_t>() == "uint16");
}
