// The baseline against numbers worked out by hand.
#include "gopher_model/data/byte_model.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/tokenizer/corpus.hpp"

using namespace gopher;
using namespace gopher::testing;

TEST_CASE("the probabilities of a tiny text are those worked out by hand") {
  const std::vector<Document> documents{{"x", "aab"}};
  const ByteModel model{documents};
  const double none = 1.0 / 256.0;
  const double a0 = (2 + 2 * none) / (3 + 2);  // a twice and b once, two distinct bytes
  const double b0 = (1 + 2 * none) / (3 + 2);
  const double a1 = (1 + 2 * a0) / (2 + 2);  // after a: a once, b once
  const double b1 = (1 + 2 * b0) / (2 + 2);
  const double b2 = (1 + 1 * b1) / (1 + 1);  // after aa: b once
  CHECK(model.probability("", 'a') == Approx(a0));
  CHECK(model.probability("a", 'a') == Approx(a1));
  CHECK(model.probability("aa", 'b') == Approx(b2));
  CHECK(model.probability("xyzaa", 'b') == Approx(b2));
  CHECK(model.probability("ba", 'a') == Approx(a1));
  CHECK(model.probability("ab", 'a') == Approx(a0));
  const std::vector<Document> distinct{{"y", "cab"}};
  const double once = (1 + 3 * none) / (3 + 3);
  CHECK(ByteModel{distinct}.probability("ca", 'b') == Approx((1 + (1 + once) / 2) / 2));
  CHECK(model.bits("aab") == Approx(-std::log2(a0 * a1 * b2)));
  CHECK(model.bits_per_byte(documents) == Approx(-std::log2(a0 * a1 * b2) / 3));
}

TEST_CASE("the probabilities after any context sum to one") {
  const std::vector<Document> documents{{"x", corpus(100)}, {"y", std::string(3, '\xFF')}, {"z", ""}};
  const ByteModel model{documents};
  for (const auto* context : {"", "a", "th", "\xFF\xFF", "zz", "\n ", "gopher"}) {
    double sum = 0.0;
    for (int c = 0; c < 256; ++c) sum += model.probability(context, static_cast<unsigned char>(c));
    CHECK(sum == Approx(1.0));
  }
}

TEST_CASE("bits per byte: eight untrained, fewer on text like the training text, pooled over documents") {
  const ByteModel untrained{{}};
  const std::vector<Document> held_out{{"a", corpus(20, burrow::Key{9})}, {"b", "x"}};
  CHECK(untrained.bits_per_byte(held_out) == Approx(8.0));
  CHECK(untrained.bits_per_byte({}) == 0.0);
  const std::vector<Document> training{{"t", corpus(500)}};
  const ByteModel model{training};
  CHECK(model.bits_per_byte(held_out) < 3.5);
  const double bits = model.bits(held_out[0].text) + model.bits(held_out[1].text);
  CHECK(model.bits_per_byte(held_out) == Approx(bits / static_cast<double>(total_bytes(held_out))));
}
