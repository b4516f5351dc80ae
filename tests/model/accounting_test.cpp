// The counts against published numbers: Gopher's Table 1 (arXiv 2112.11446), Chinchilla's Tables A4 and A9
// (arXiv 2203.15556), and the reported 2.5 TiB of state and 6.31e23 FLOPs of 280B.
#include "gopher_model/model/accounting.hpp"

#include <catch2/catch.hpp>

#include "gopher_model/model/pass_memory.hpp"
#include "gopher_model/model/presets.hpp"
#include "gopher_model/model/quantities.hpp"

namespace gopher::accounting_test {
namespace {

using burrow::Rematerialization;

struct PublishedSize {
  Index millions, width, feed_forward, head_width, heads, layers;

  constexpr ModelSize size() const { return {layers, width, heads, head_width, feed_forward, 32000, 2048}; }
};

constexpr PublishedSize chinchilla_table_a9[] = {
    {44, 512, 2048, 64, 8, 8},         {57, 576, 2304, 64, 9, 9},         {74, 640, 2560, 64, 10, 10},
    {90, 640, 2560, 64, 10, 13},       {106, 640, 2560, 64, 10, 16},      {117, 768, 3072, 64, 12, 12},
    {140, 768, 3072, 64, 12, 15},      {163, 768, 3072, 64, 12, 18},      {175, 896, 3584, 64, 14, 14},
    {196, 896, 3584, 64, 14, 16},      {217, 896, 3584, 64, 14, 18},      {251, 1024, 4096, 64, 16, 16},
    {278, 1024, 4096, 64, 16, 18},     {306, 1024, 4096, 64, 16, 20},     {425, 1280, 5120, 128, 10, 18},
    {489, 1280, 5120, 128, 10, 21},    {509, 1408, 5632, 128, 11, 18},    {552, 1280, 5120, 128, 10, 24},
    {587, 1408, 5632, 128, 11, 21},    {632, 1536, 6144, 128, 12, 19},    {664, 1408, 5632, 128, 11, 24},
    {724, 1536, 6144, 128, 12, 22},    {816, 1536, 6144, 128, 12, 25},    {893, 1792, 7168, 128, 14, 20},
    {1018, 1792, 7168, 128, 14, 23},   {1143, 1792, 7168, 128, 14, 26},   {1266, 2048, 8192, 128, 16, 22},
    {1424, 2176, 8704, 128, 17, 22},   {1429, 2048, 8192, 128, 16, 25},   {1593, 2048, 8192, 128, 16, 28},
    {1609, 2176, 8704, 128, 17, 25},   {1731, 2304, 9216, 128, 18, 24},   {1794, 2176, 8704, 128, 17, 28},
    {2007, 2304, 9216, 128, 18, 28},   {2283, 2304, 9216, 128, 18, 32},   {2298, 2560, 10240, 128, 20, 26},
    {2639, 2560, 10240, 128, 20, 30},  {2980, 2560, 10240, 128, 20, 34},  {3530, 2688, 10752, 128, 22, 36},
    {3802, 2816, 11264, 128, 22, 36},  {4084, 2944, 11776, 128, 22, 36},  {4516, 3072, 12288, 128, 24, 36},
    {6796, 3584, 14336, 128, 28, 40},  {9293, 4096, 16384, 128, 32, 42},  {11452, 4352, 17408, 128, 32, 47},
    {12295, 4608, 18432, 128, 36, 44}, {12569, 4608, 18432, 128, 32, 47}, {13735, 4864, 19456, 128, 32, 47},
    {14940, 4992, 19968, 128, 32, 49}, {16183, 5120, 20480, 128, 40, 47},
};

static_assert(std::size(chinchilla_table_a9) == 50);

constexpr Index rounded_millions(Index count) { return (count + 500'000) / 1'000'000; }

constexpr bool table_a9_is_reproduced() {
  for (const PublishedSize& row : chinchilla_table_a9) {
    if (rounded_millions(parameters(row.size()).full()) != row.millions) return false;
  }
  return true;
}

static_assert(table_a9_is_reproduced());

static_assert(parameters(gopher_44m.size).core() == 43'646'976);
static_assert(parameters(gopher_117m.size).core() == 116'588'544);
static_assert(parameters(gopher_417m.size).core() == 417'202'176);
static_assert(parameters(gopher_1_4b.size).core() == 1'374'158'848);
static_assert(parameters(gopher_7_1b.size).core() == 7'110'393'856);
static_assert(parameters(gopher_280b.size).core() == 279'697'162'240);

static_assert(parameters(gopher_44m.size).full() == 43'720'448);
static_assert(parameters(gopher_117m.size).full() == 116'713'472);
static_assert(parameters(gopher_417m.size).full() == 417'420'032);
static_assert(parameters(gopher_1_4b.size).full() == 1'374'684'416);
static_assert(parameters(gopher_7_1b.size).full() == 7'111'740'672);
static_assert(parameters(gopher_280b.size).full() == 279'710'317'824);

TEST_CASE("every row of Chinchilla's Table A9 is reproduced") {
  for (const PublishedSize& row : chinchilla_table_a9) {
    INFO("the row of " << row.millions << "M");
    CHECK(rounded_millions(parameters(row.size()).full()) == row.millions);
  }
}

TEST_CASE("the parts of a count add up, and every preset is valid") {
  for (const Preset& preset : presets) {
    INFO(preset.name);
    REQUIRE_NOTHROW(validate(preset.size));
    const ParameterCount count = parameters(preset.size);
    const ModelSize& size = preset.size;
    const Index vectors = size.layers * (8 * size.width + 2 * size.attention_width());
    CHECK(count.small() == vectors + size.vocabulary + size.width);
    CHECK(count.full() == count.core() + count.small());
    CHECK(size.attention_width() == size.width);
    CHECK(size.feed_forward == 4 * size.width);
    CHECK(preset.batch_tokens % (size.context * preset.micro_batch) == 0);
  }
}

TEST_CASE("the small presets have the sizes their comments promise") {
  CHECK(parameters(laptop_tiny.size).without_embedding() == Approx(1e6).epsilon(0.1));
  CHECK(parameters(laptop_small.size).without_embedding() == Approx(7e6).epsilon(0.1));
}

TEST_CASE("280B: 2.5 TiB of state in bf16 with float32 Adam") {
  const StateBytes bytes = state_bytes(gopher_280b.size, Precision::bf16_stochastic);
  CHECK(bytes.total() == 10 * parameters(gopher_280b.size).full());
  CHECK(binary_bytes(static_cast<double>(bytes.total())) == "2.544 TiB");
}

TEST_CASE("bytes per parameter in each precision") {
  const auto per_parameter = [](Precision precision) {
    return state_bytes(laptop_tiny.size, precision).total() / parameters(laptop_tiny.size).full();
  };
  CHECK(per_parameter(Precision::float32) == 12);
  CHECK(per_parameter(Precision::mixed_bf16) == 12);
  CHECK(per_parameter(Precision::bf16_stochastic) == 10);
  CHECK(per_parameter(Precision::bf16_master) == 14);
  const StateBytes bytes = state_bytes(laptop_tiny.size, Precision::float32);
  CHECK(bytes.total() + bytes.gradients == 16 * parameters(laptop_tiny.size).full());
}

TEST_CASE("280B: 6.31E+08 PFLOPs on 300 billion tokens") {
  const auto flops = [](EmbeddingTerms terms) {
    return training_flops(gopher_280b.size, 300e9, Passes::rematerialized, terms);
  };
  CHECK(petaflops(flops(EmbeddingTerms::excluded)) == "6.31E+08 PFLOPs");
  CHECK(petaflops(flops(EmbeddingTerms::included)) == "6.34E+08 PFLOPs");
}

TEST_CASE("training FLOPs of the six models on 300 billion tokens, to the digits known") {
  struct Row {
    const Preset& preset;
    const char *three_passes, *four_passes;
  };
  const Row rows[] = {{gopher_44m, "7.62e+19", "1.016e+20"},   {gopher_117m, "2.216e+20", "2.955e+20"},
                      {gopher_417m, "7.48e+20", "9.98e+20"},   {gopher_1_4b, "2.539e+21", "3.385e+21"},
                      {gopher_7_1b, "1.257e+22", "1.676e+22"}, {gopher_280b, "4.736e+23", "6.314e+23"}};
  const auto printed = [](double flops, const std::string& like) {
    return formatted(like.size() == 8 ? "%.2e" : "%.3e", flops);
  };
  for (const Row& row : rows) {
    INFO(row.preset.name);
    const ModelSize& size = row.preset.size;
    CHECK(printed(training_flops(size, 300e9, Passes::stored_activations), row.three_passes) ==
          row.three_passes);
    CHECK(printed(training_flops(size, 300e9, Passes::rematerialized), row.four_passes) == row.four_passes);
  }
}

TEST_CASE("the ratios to 6 N D of Chinchilla's Table A4") {
  struct Row {
    Index millions;
    double ratio;
  };
  for (const auto [millions, ratio] :
       {Row{74, 1.03}, Row{306, 1.10}, Row{552, 1.08}, Row{1143, 1.04}, Row{1593, 1.03}, Row{6796, 0.99}}) {
    for (const PublishedSize& row : chinchilla_table_a9) {
      if (row.millions != millions) continue;
      INFO("the row of " << row.millions << "M");
      CHECK(formatted("%.2f", ratio_to_6nd(row.size())) == formatted("%.2f", ratio));
    }
  }
}

TEST_CASE("model FLOPs per token of 44M: 249 million in products, 75 million in attention") {
  const ModelSize size = gopher_44m.size;
  const double products = 6.0 * (12 * 8 * 512 * 512 + 32000 * 512);
  const double attention = 3.0 * 3 * 2 * 1024 * 512 * 8;
  CHECK(model_flops_per_token(size) == products + attention);
  CHECK(formatted("%.0f", model_flops_per_token(size) / 1e6) == "325");
}

TEST_CASE("counts follow an attention width and a feed-forward width of their own") {
  constexpr ModelSize size{3, 10, 2, 7, 33, 100, 64};
  constexpr ParameterCount count = parameters(size);
  static_assert(count.core() == 100 * 10 + 3 * (5 * 10 * 14 + 2 * 10 * 33));
  static_assert(count.small() == 3 * (33 + 4 * 10 + 2 * 14) + 100 + 10);
  CHECK(model_flops_per_token(size) ==
        6.0 * (3 * (4 * 10 * 14 + 2 * 10 * 33) + 100 * 10) + 18.0 * 32 * 14 * 3);
  CHECK(cache_bytes(size, 64, Precision::float32) == 2 * 3 * 14 * 64 * 4);
  CHECK(cache_bytes(size, 64, Precision::mixed_bf16) == 2 * 3 * 14 * 64 * 2);
}

TEST_CASE("rematerialisation and bf16 make activations smaller, more sequences larger") {
  for (const Preset& preset : presets) {
    const auto bytes = [&](Index sequences, Precision precision, Rematerialization choice) {
      return pass_bytes(preset.size, sequences, precision, choice);
    };
    const auto none = Rematerialization::none(), selective = Rematerialization::selective();
    CHECK(bytes(1, Precision::float32, selective) < bytes(1, Precision::float32, none));
    CHECK(bytes(1, Precision::float32, Rematerialization::block()) < bytes(1, Precision::float32, selective));
    CHECK(bytes(1, Precision::mixed_bf16, selective) < bytes(1, Precision::float32, selective));
    CHECK(bytes(3, Precision::float32, selective) > bytes(2, Precision::float32, selective));
  }
}

TEST_CASE("nothing overflows at the largest extents accepted") {
  ModelSize size;
  for (const ModelExtent& extent : model_extents) size.*extent.member = extent.limit;
  REQUIRE_NOTHROW(validate(size));
  const double count = static_cast<double>(parameters(size).full());
  CHECK(count > 0);
  const StateBytes bytes = state_bytes(size, Precision::bf16_master);
  CHECK(static_cast<double>(bytes.total() + bytes.gradients) == Approx(18 * count));
  CHECK(cache_bytes(size, size.context, Precision::float32) > 0);
}

TEST_CASE("an extent that cannot be built is refused by name") {
  for (const ModelExtent& extent : model_extents) {
    for (const Index bad : {Index{0}, Index{-1}, extent.limit + 1}) {
      ModelSize size = laptop_tiny.size;
      size.*extent.member = bad;
      CHECK_THROWS_WITH(validate(size), Catch::StartsWith(std::string(extent.name) + " must be from 1 to ") &&
                                            Catch::EndsWith(", not " + std::to_string(bad) + "."));
    }
  }
  ModelSize size = laptop_tiny.size;
  size.width = 127;
  CHECK_THROWS_WITH(validate(size), Catch::StartsWith("width must be even"));
}

TEST_CASE("presets are found by name, a misspelt one names the closest") {
  static_assert(&preset("280B") == &presets[5]);
  for (const Preset& known : presets) CHECK(&preset(known.name) == &known);
  CHECK_THROWS_AS(preset("70B"), ConfigError);
  CHECK_THROWS_WITH(preset("208B"), Catch::Contains("the closest is \"280B\""));
  CHECK_THROWS_WITH(preset("tinny"), Catch::Contains("the closest is \"tiny\""));
  CHECK_THROWS_WITH(preset(""), Catch::Contains("44M, 117M, 417M, 1.4B, 7.1B, 280B, tiny, small"));
}

TEST_CASE("edit distance is a metric that counts a swap once") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("learning_rate", "learning_rate") == 0);
  CHECK(edit_distance("lerning_rate", "learning_rate") == 1);
  CHECK(edit_distance("laerning_rate", "learning_rate") == 1);
  const std::string_view words[] = {"", "a", "ab", "ba", "steps", "step", "tokens", "stop"};
  for (const auto a : words) {
    for (const auto b : words) CHECK(edit_distance(a, b) == edit_distance(b, a));
  }
}

TEST_CASE("quantities are printed as people read them") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(-1000) == "-1,000");
  CHECK(grouped(279'710'317'824) == "279,710,317,824");
  CHECK(binary_bytes(512) == "512 B");
  CHECK(binary_bytes(1536) == "1.5 KiB");
}

}  // namespace
}  // namespace gopher::accounting_test
