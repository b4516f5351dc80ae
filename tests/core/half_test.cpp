#include <burrow/core/packet.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <sstream>
#include <vector>

using namespace burrow;

namespace {

constexpr std::uint32_t patterns = 65536;

bool is_nan_pattern(std::uint32_t pattern) { return (pattern & 0x7FFFu) > 0x7C00u; }

half pattern_of(std::uint32_t bits) { return half::from_bits(static_cast<std::uint16_t>(bits)); }

/// The value of a pattern, from the definition of binary16.
double defined_value(std::uint32_t pattern) {
  const double sign = pattern & 0x8000u ? -1 : 1;
  const int exponent = static_cast<int>(pattern >> 10 & 31u);
  const int mantissa = static_cast<int>(pattern & 1023u);
  if (exponent == 31) return sign * std::numeric_limits<double>::infinity();
  return exponent == 0 ? sign * std::ldexp(mantissa, -24) : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

/// Floats that are hard to round: at, just below and just above each half and each middle between two.
std::vector<float> hard_floats() {
  std::vector<float> values;
  for (std::uint32_t pattern = 0; pattern < patterns; ++pattern) {
    if ((pattern & 0x7C00u) == 0x7C00u) continue;
    const auto here = static_cast<float>(defined_value(pattern));
    const double above = (pattern & 0x7FFFu) == 0x7BFFu ? std::copysign(65536.0, static_cast<double>(here))
                                                        : defined_value(pattern + 1);
    const auto middle = static_cast<float>((static_cast<double>(here) + above) / 2);
    for (const float x : {here, middle})
      for (const float direction : {-1e30f, 1e30f})
        values.insert(values.end(), {x, std::nextafter(x, direction)});
  }
  return values;
}

/// The pattern that rounding to nearest, ties to even, must give.
std::uint32_t expected_pattern(float value) {
  const double magnitude = std::abs(static_cast<double>(value));
  const std::uint32_t sign = std::signbit(value) ? 0x8000u : 0u;
  if (magnitude >= 65520) return sign | 0x7C00u;
  int exponent = 0;
  std::frexp(magnitude, &exponent);  // magnitude < 2^exponent
  const double unit = std::ldexp(1, std::max(exponent - 11, -24));
  const double rounded = std::nearbyint(magnitude / unit) * unit;  // exact: the quotient has few bits
  std::uint32_t low = 0, high = 0x7C00u;
  while (low + 1 < high) {
    const std::uint32_t middle = (low + high) / 2;
    (defined_value(middle) <= rounded ? low : high) = middle;
  }
  return sign | low;
}

}  // namespace

TEST_CASE("Every half pattern has the value that binary16 defines, and converts back to itself") {
  std::size_t wrong = 0, nans = 0;
  for (std::uint32_t pattern = 0; pattern < patterns; ++pattern) {
    const float value = pattern_of(pattern);
    if (is_nan_pattern(pattern)) {
      ++nans;
      if (!std::isnan(value) || half{value}.bits() != (pattern | 0x200u)) ++wrong;  // NaNs become quiet
    } else if (static_cast<double>(value) != defined_value(pattern) ||
               std::signbit(value) != (pattern >= 0x8000u) || half{value}.bits() != pattern) {
      ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(nans == 2 * 1023);
}

TEST_CASE("half rounds to the nearest, and ties to even, around every pattern") {
  std::size_t wrong = 0;
  for (const float x : hard_floats())
    if (half{x}.bits() != expected_pattern(x)) ++wrong;
  CHECK(wrong == 0);
}

TEST_CASE("half keeps infinities, overflows to them, and NaN stays NaN whatever its payload") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK((half{infinity}.bits() == 0x7C00 && half{-infinity}.bits() == 0xFC00));
  CHECK(
      (half{65519.996f}.bits() == 0x7BFF && half{65520.0f}.bits() == 0x7C00 && half{1e38f}.bits() == 0x7C00));
  CHECK((half{std::ldexp(1.0f, -25)}.bits() == 0 && half{std::ldexp(1.5f, -25)}.bits() == 1));
  CHECK(half{-std::numeric_limits<float>::denorm_min()}.bits() == 0x8000);
  for (const std::uint32_t bits : {0x7F800001u, 0x7F80FFFFu, 0x7FFFFFFFu, 0xFF800001u, 0xFFFFFFFFu})
    CHECK(std::isnan(static_cast<float>(half{std::bit_cast<float>(bits)})));
}

TEST_CASE("half computes in float and prints as a number") {
  static_assert(std::same_as<decltype(half{1.5f} * half{2.0f}), float>);
  static_assert(static_cast<float>(half{1.5f}) == 1.5f && half{0.1}.bits() == 0x2E66);
  static_assert(sizeof(half) == 2 && std::is_trivially_copyable_v<half>);
  std::ostringstream text;
  text << half{-2.5f} << ' ' << half{3};
  CHECK(text.str() == "-2.5 3");
}

TEST_CASE("Packets load and store half bit for bit as the class converts") {
  constexpr int n = Packet<float>::size;
  std::size_t wrong = 0;
  for (std::uint32_t first = 0; first < patterns; first += n) {
    half in[n];
    float out[n];
    for (std::uint32_t i = 0; i < n; ++i) in[i] = pattern_of(first + i);
    Packet<float>::load(in).store(out);
    for (std::size_t i = 0; i < n; ++i)
      if (std::bit_cast<std::uint32_t>(out[i]) != std::bit_cast<std::uint32_t>(static_cast<float>(in[i])))
        ++wrong;
  }
  CHECK(wrong == 0);
  auto values = hard_floats();
  for (const std::uint32_t bits :
       {0x7F800000u, 0xFF800000u, 0x7F800001u, 0xFFC12345u, 0x7F7FFFFFu, 1u, 0x80000001u})
    values.push_back(std::bit_cast<float>(bits));
  values.resize((values.size() + n - 1) / n * n);
  for (std::size_t i = 0; i < values.size(); i += n) {
    half out[n];
    Packet<float>::load(&values[i]).store(out);
    for (std::size_t k = 0; k < n; ++k)
      if (out[k].bits() != half{values[i + k]}.bits()) ++wrong;
  }
  CHECK(wrong == 0);
}
