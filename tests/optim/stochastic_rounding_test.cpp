#include <bit>
#include <burrow/optim/stochastic_rounding.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using burrow::bf16;
using burrow::Key;
using burrow::round_stochastically;
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float largest_bf16 = 0x1.FEp127f;

// Golden bits: they are part of what a seed means.
static_assert(burrow::random_bits16(Key{0}, 0) == static_cast<std::uint16_t>(Key{0}.words(0)[0]));
static_assert(burrow::random_bits16(Key{0}, 15) == Key{0}.words(1)[3] >> 16);

}  // namespace

TEST_CASE("the mean over all 65536 additions is exactly the value", "[stochastic_rounding]") {
  for (const float value : {1.0f, 1.001f, -1.001f, 0.1f, -3.14159274f, 1e-30f, 123456.789f, 0x1.FFFFFEp0f,
                            1e-40f, 0x1p-149f, -0x1.FDFFFEp127f, 0.0f}) {
    INFO(value);
    double sum = 0;  // exact: every term is a multiple of the neighbours' unit
    bool near = true;
    for (std::uint32_t random = 0; random <= 0xFFFF; ++random) {
      const float rounded = round_stochastically(value, static_cast<std::uint16_t>(random));
      near &= std::abs(rounded - value) < std::abs(value) * 0x1p-7f + 0x1p-133f;
      sum += static_cast<double>(rounded);
    }
    REQUIRE(near);
    REQUIRE(sum / 65536 == static_cast<double>(value));
  }
}

TEST_CASE("every bf16 value, infinity and NaN stays what it is", "[stochastic_rounding]") {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const bf16 value = bf16::from_bits(static_cast<std::uint16_t>(bits));
    for (const std::uint16_t random : {std::uint16_t{0}, std::uint16_t{0x8000}, std::uint16_t{0xFFFF}}) {
      const bf16 rounded = round_stochastically(static_cast<float>(value), random);
      if (std::isnan(static_cast<float>(value)))
        REQUIRE(std::isnan(static_cast<float>(rounded)));
      else if (rounded.bits() != value.bits())
        FAIL("bits " << bits << " became " << rounded.bits());
    }
  }
  const float quiet_in_low_bits = std::bit_cast<float>(0x7F800001u);
  REQUIRE(std::isnan(static_cast<float>(round_stochastically(quiet_in_low_bits, 0))));
  REQUIRE(std::isnan(static_cast<float>(round_stochastically(std::bit_cast<float>(0xFFFFFFFFu), 0xFFFF))));
}

TEST_CASE("beyond the largest bf16 the carry gives infinity, at and below it never",
          "[stochastic_rounding]") {
  const float beyond = std::numeric_limits<float>::max();
  REQUIRE(static_cast<float>(round_stochastically(beyond, 0)) == largest_bf16);
  REQUIRE(static_cast<float>(round_stochastically(beyond, 1)) == infinity);
  REQUIRE(static_cast<float>(round_stochastically(-beyond, 1)) == -infinity);
  REQUIRE(static_cast<float>(round_stochastically(largest_bf16, 0xFFFF)) == largest_bf16);
  REQUIRE(static_cast<float>(round_stochastically(std::nextafter(largest_bf16, 0.0f), 0xFFFF)) ==
          largest_bf16);
}

TEST_CASE("an element's rounding does not depend on the slice it is in", "[stochastic_rounding]") {
  constexpr std::size_t size = 1000;
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = Key{1}.normal(i);
  const Key key = Key{2}.fold_in(17);
  std::vector<bf16> whole(size);
  constexpr std::uint64_t first = (std::uint64_t{1} << 35) - 301;  // the counter's high word changes inside
  round_stochastically(values, whole, key, first);
  for (std::size_t i = 0; i < size; ++i)
    REQUIRE(whole[i].bits() == round_stochastically(values[i], burrow::random_bits16(key, first + i)).bits());

  std::vector<bf16> pieces(size);
  for (std::size_t begin = 0, length = 1; begin < size; begin += length, length = length % 13 + 1) {
    length = std::min(length, size - begin);
    round_stochastically(std::span{values}.subspan(begin, length), std::span{pieces}.subspan(begin, length),
                         key, first + begin);
  }
  for (std::size_t i = 0; i < size; ++i) REQUIRE(pieces[i].bits() == whole[i].bits());
}

TEST_CASE("the random bits are even", "[stochastic_rounding]") {
  double sum = 0;
  constexpr int count = 100'000;
  for (int i = 0; i < count; ++i) sum += burrow::random_bits16(Key{3}, static_cast<std::uint64_t>(i));
  const double deviation = (sum / count - 32767.5) / (65536 / std::sqrt(12.0 * count));
  REQUIRE(std::abs(deviation) < 4);
}
