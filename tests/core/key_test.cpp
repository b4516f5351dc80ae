#include <burrow/core/key.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

using namespace burrow;

namespace {

using Words = std::array<std::uint32_t, 4>;

struct Moments {
  double mean, variance, skewness, kurtosis;
};

template <class Draw>
Moments moments(std::uint64_t count, const Draw& draw) {
  double sum[4] = {};
  for (std::uint64_t i = 0; i < count; ++i) {
    const double x = static_cast<double>(draw(i));
    for (double power = x; double& s : sum) s += power, power *= x;
  }
  for (double& s : sum) s /= static_cast<double>(count);
  const double mean = sum[0], variance = sum[1] - mean * mean;
  const double third = sum[2] - 3 * mean * sum[1] + 2 * mean * mean * mean;
  const double fourth = sum[3] - 4 * mean * sum[2] + 6 * mean * mean * sum[1] - 3 * std::pow(mean, 4);
  return {mean, variance, third / std::pow(variance, 1.5), fourth / (variance * variance)};
}

}  // namespace

// Known answers of Random123 (kat_vectors, philox4x32 10).
TEST_CASE("Philox gives the published known answers") {
  CHECK(detail::philox({0, 0, 0, 0}, 0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t ones = 0xffffffff;
  CHECK(detail::philox({ones, ones, ones, ones}, ones, ones) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(detail::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("The words of a key are Philox at the index, and elements are its words in order") {
  const Key key{0x1234567890abcdefu};
  CHECK(Key{0}.words(0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint64_t large = (std::uint64_t{7} << 32) + 5;
  CHECK(key.words(large) == detail::philox({5, 7, 0, 0}, 0x90abcdef, 0x12345678));
  for (std::uint64_t i = 0; i < 64; ++i) CHECK(key.bits(i) == key.words(i / 4)[i % 4]);
}

TEST_CASE("Keys that differ in any way draw different numbers") {
  std::set<std::uint64_t> keys;
  std::size_t made = 0;
  const auto add = [&](Key key) { keys.insert(key.value()), ++made; };
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Key key{seed};
    add(key);
    for (std::uint64_t data = 0; data < 20; ++data) add(key.fold_in(data));
    for (const Key child : key.split<5>()) add(child);
    add(key.fold_in(1).fold_in(2));
    add(key.fold_in(2).fold_in(1));
  }
  CHECK(keys.size() == made);
}

TEST_CASE("split is stable: more keys begin with the same keys") {
  const Key key{3};
  const auto two = key.split(), five = key.split<2>();
  CHECK(two == five);
  const auto many = key.split<7>();
  CHECK(std::equal(two.begin(), two.end(), many.begin()));
}

TEST_CASE("Streams of different keys are uncorrelated") {
  constexpr std::uint64_t count = 100000;
  const Key key{11};
  const Key others[] = {Key{12}, key.fold_in(0), key.fold_in(1), key.split()[0], key.split()[1]};
  for (const Key other : others) {
    double product = 0;
    for (std::uint64_t i = 0; i < count; ++i)
      product += static_cast<double>(key.normal(i)) * static_cast<double>(other.normal(i));
    CHECK(std::abs(product / count) < 5 / std::sqrt(static_cast<double>(count)));
  }
}

TEST_CASE("Uniform numbers are at least 0, below 1, and have the moments of the uniform distribution") {
  const Key key{1};
  constexpr std::uint64_t count = 400000;
  bool inside = true;
  for (std::uint64_t i = 0; i < count; ++i) inside = inside && key.uniform(i) >= 0 && key.uniform(i) < 1;
  CHECK(inside);
  const auto m = moments(count, [&](std::uint64_t i) { return key.uniform(i); });
  CHECK(m.mean == Approx(0.5).margin(0.003));
  CHECK(m.variance == Approx(1.0 / 12).margin(0.001));
  CHECK(m.skewness == Approx(0).margin(0.02));
  CHECK(m.kurtosis == Approx(1.8).margin(0.02));
}

TEST_CASE("Normal numbers have the moments of the standard normal distribution") {
  const Key key{2};
  const auto m = moments(400000, [&](std::uint64_t i) { return key.normal(i); });
  CHECK(m.mean == Approx(0).margin(0.01));
  CHECK(m.variance == Approx(1).margin(0.015));
  CHECK(m.skewness == Approx(0).margin(0.03));
  CHECK(m.kurtosis == Approx(3).margin(0.06));
}

TEST_CASE("Neighbouring normal numbers are uncorrelated, within pairs and across them") {
  const Key key{5};
  constexpr std::uint64_t count = 200000;
  for (const std::uint64_t lag : {1u, 2u, 3u, 4u}) {
    double product = 0;
    for (std::uint64_t i = 0; i < count; ++i)
      product += static_cast<double>(key.normal(i)) * static_cast<double>(key.normal(i + lag));
    CHECK(std::abs(product / count) < 0.012);
  }
}
