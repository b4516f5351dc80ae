// Run configurations: what is written is read back exactly, and what is wrong is refused in one sentence.
#include "gopher_model/training/run_configuration.hpp"

#include <algorithm>
#include <fstream>
#include <set>

#include <burrow/core/key.hpp>
#include <catch2/catch.hpp>

#include "gopher_model/training/run_fields.hpp"
#include "tests/fuzz.hpp"

namespace gopher::run_configuration_test {
namespace {

using Catch::Contains;
using Catch::Equals;
using Catch::StartsWith;

// Draws from one key, one index after the other.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : key_{seed} {}
  std::uint64_t below(std::uint64_t limit) {
    const std::uint64_t high = key_.bits(index_++);
    return ((high << 32) | key_.bits(index_++)) % limit;
  }
  double unit() { return static_cast<double>(key_.uniform(index_++)); }

 private:
  burrow::Key key_;
  std::uint64_t index_ = 0;
};

std::string random_text(Draws& draws) {
  static const std::string pieces[] = {
      "a",    " ",      "\"",   "\\",   "\n", "\r\n",     "\t",
      "\x01", "'",      "\x7f", "#",    "[",  "\xc3\xa9", "\xe2\x82\xac",
      "=",    "\"\"\"", "\b",   "\\u0", "]",  "\x1b",     "\xf0\x9f\x90\xbf"};
  std::string text;
  for (std::uint64_t i = draws.below(8); i > 0; --i) text += pieces[draws.below(std::size(pieces))];
  return text;
}

// A value that the rule accepts; `text` fields with a check keep what they have.
Value random_value(const Field& field, const Value& present, Draws& draws) {
  if (const auto* rule = std::get_if<IntegerRule>(&field.rule)) {
    const auto width = static_cast<std::uint64_t>(rule->max - rule->min) + 1;
    return rule->min + static_cast<Index>(draws.below(width));
  }
  if (const auto* rule = std::get_if<RealRule>(&field.rule)) {
    return rule->min + (rule->max - rule->min) * (draws.unit() * 0.99 + 0.001) / 3;
  }
  if (const auto* rule = std::get_if<TextRule>(&field.rule)) {
    return rule->check ? present : Value{random_text(draws)};
  }
  if (const auto* rule = std::get_if<ChoiceRule>(&field.rule)) {
    return std::string(rule->names[draws.below(rule->names.size())]);
  }
  if (std::holds_alternative<FlagRule>(field.rule)) return draws.below(2) == 1;
  std::vector<std::string> texts(draws.below(4));
  for (std::string& text : texts) text = random_text(draws);
  return texts;
}

RunConfiguration random_configuration(std::uint64_t seed) {
  Draws draws{seed};
  RunConfiguration configuration;
  apply_preset(configuration, presets[draws.below(presets.size())]);
  if (draws.below(2) == 1) configuration.batch_ramp = "0.25:4";
  for (const Field& field : run_fields()) {
    field.write(configuration, random_value(field, field.read(configuration), draws));
  }
  return configuration;
}

std::string error_of(std::string_view text) {
  try {
    load_toml(text, "run.toml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("what is written is read back exactly") {
  CHECK(load_toml(to_toml(RunConfiguration{})) == RunConfiguration{});
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const RunConfiguration configuration = random_configuration(seed);
    INFO(to_toml(configuration));
    REQUIRE(load_toml(to_toml(configuration)) == configuration);
  }
}

TEST_CASE("a file is read like its text") {
  const auto path = std::filesystem::temp_directory_path() / "burrow_run_configuration_test.toml";
  const RunConfiguration configuration = random_configuration(1);
  std::ofstream(path, std::ios::binary) << to_toml(configuration);
  CHECK(resolve(read_settings(path), {}) == configuration);
  std::filesystem::remove(path);
  CHECK_THROWS_AS(read_settings(path), burrow::IoError);
  CHECK_THROWS_AS(read_settings(std::filesystem::temp_directory_path()), burrow::IoError);
}

TEST_CASE("every field has a key, a help text and an accepted default of its own") {
  std::set<std::string_view> keys;
  const RunConfiguration defaults;
  for (const Field& field : run_fields()) {
    INFO(field.key);
    CHECK(keys.insert(field.key).second);
    CHECK_FALSE(field.help.empty());
    CHECK(field.key.find('-') == field.key.npos);
    CHECK(find_field(field.key) == &field);
    CHECK(checked(field.rule, field.read(defaults), field.key) == field.read(defaults));
  }
}

TEST_CASE("the fields reach every member") {
  const RunConfiguration defaults;
  std::size_t changed = 0;
  for (const Field& field : run_fields()) {
    RunConfiguration one = defaults;
    for (std::uint64_t seed = 0; seed < 20 && one == defaults; ++seed) {
      Draws draws{seed};
      field.write(one, random_value(field, field.read(one), draws));
    }
    if (one != defaults) ++changed;
    for (const Field& other : run_fields()) {
      INFO(field.key << " against " << other.key);
      if (&other != &field) CHECK(other.read(one) == other.read(defaults));
    }
  }
  // preset, batch_ramp, mesh and rematerialize keep their value above.
  CHECK(changed == run_fields().size() - 4);
}

TEST_CASE("the defaults are the preset tiny, and presets set what the paper states") {
  RunConfiguration configuration;
  apply_preset(configuration, preset("tiny"));
  CHECK(configuration == RunConfiguration{});
  const RunConfiguration gopher = load_toml("[model]\npreset = \"280B\"");
  CHECK(gopher.size == gopher_280b.size);
  CHECK(gopher.learning_rate == 4e-5);
  CHECK(gopher.batch_tokens == 3'145'728);
  CHECK(gopher.batch_ramp == "0.5:2");
  CHECK(gopher.clip == 0.25);
  CHECK(gopher.warmup_steps == 1500);
  CHECK(gopher.initial_learning_rate == 1e-7);
  CHECK(gopher.final_learning_rate_fraction == 0.1);
  CHECK(gopher.tokens == 300'000'000'000);
  CHECK(gopher.precision == Precision::bf16_stochastic);
}

TEST_CASE("defaults yield to the preset, the preset to the file, the file to the command line") {
  const auto file = read_settings("[model]\npreset = \"44M\"\nlayers = 3\n[training]\nmicro_batch = 4", "f");
  CHECK(resolve(file, {}).size.width == 512);
  CHECK(resolve(file, {}).size.layers == 3);
  const std::vector<Setting> line{{find_field("layers"), Value{Index{5}}, "--layers"}};
  CHECK(resolve(file, line).size.layers == 5);
  CHECK(resolve(file, line).micro_batch == 4);
  CHECK(resolve({}, line).size.width == laptop_tiny.size.width);
}

TEST_CASE("a preset on the command line may not contradict the file's model") {
  const auto file = read_settings("[training]\nsteps = 7\n[model]\nlayers = 3", "run.toml");
  std::vector<Setting> line{{find_field("preset"), Value{std::string("44M")}, "--preset"}};
  CHECK_THROWS_WITH(
      resolve(file, line),
      Equals("run.toml:4: layers = 3 contradicts --preset 44M, where it is 8; remove one of them, "
             "or give --layers as well."));
  line.push_back({find_field("layers"), Value{Index{8}}, "--layers"});
  CHECK(resolve(file, line).size == gopher_44m.size);
  CHECK(resolve(file, line).steps == 7);
}

TEST_CASE("mistakes are refused with their line and what would be right") {
  CHECK(error_of("[training]\nstep = 5") ==
        "run.toml:2: there is no key \"step\"; the closest is steps in the table [training].");
  CHECK(error_of("[training]\n\nbatch-tokens = 5") ==
        "run.toml:3: there is no key \"batch-tokens\"; the closest is batch_tokens in the table [training].");
  CHECK(error_of("steps = 5") == "run.toml:1: steps belongs in the table [training].");
  CHECK(error_of("[data]\nsteps = 5") == "run.toml:2: steps belongs in the table [training], not in [data].");
  CHECK_THAT(error_of("\n[trainning]\nsteps = 5"),
             StartsWith("run.toml:2: there is no table \"trainning\"; the closest is [training]"));
  CHECK(error_of("[training]\nsteps = \"many\"") ==
        "run.toml:2: steps must be a whole number from 0 to 1000000000, not \"many\".");
  CHECK(error_of("[training]\nsteps = 1.5") ==
        "run.toml:2: steps must be a whole number from 0 to 1000000000, not 1.5.");
  CHECK(error_of("[training]\nsteps = -1") ==
        "run.toml:2: steps must be a whole number from 0 to 1000000000, not -1.");
  CHECK(error_of("[optimizer]\nbeta1 = 1") == "run.toml:2: beta1 must be a number from 0 to below 1, not 1.");
  CHECK(error_of("[optimizer]\nlearning_rate = nan") ==
        "run.toml:2: learning_rate must be a number above 0 and up to 10, not nan.");
  CHECK(error_of("[training]\nprecision = \"bf16\"") ==
        "run.toml:2: precision must be one of float32, mixed-bf16, bf16-stochastic, bf16-master, not "
        "\"bf16\".");
  CHECK(error_of("[training]\nrematerialize = \"all\"") ==
        "run.toml:2: rematerialize: rematerialisation 'all' is none of none, selective, block and every=N "
        "with a "
        "number N of blocks above 0.");
  CHECK(error_of("[output]\nrun = 1979-05-27") ==
        "run.toml:2: run must be text in UTF-8, not a value of type date.");
  CHECK_THAT(error_of("[data]\ndata = [\"a\", 1]"), StartsWith("run.toml:2: data must be a list of texts"));
  CHECK_THAT(error_of("[model]\npreset = \"45M\""),
             StartsWith("run.toml:2: preset: there is no preset \"45M\": the closest is \"44M\""));
  CHECK_THAT(error_of("[model]\npreset = \"a\\nb\""), Contains("no preset \"a?b\":"));
  CHECK_THAT(error_of("[training]\nbatch_ramp = \"2\""),
             StartsWith("run.toml:2: batch_ramp: a batch ramp is"));
  CHECK_THAT(error_of("[training]\nsteps = 1\nsteps = 2"), StartsWith("run.toml:3: "));
  CHECK_THAT(error_of("[training\nsteps = 1"), StartsWith("run.toml:1: "));
  CHECK_THAT(error_of("[training]\nsteps = \"\xff\""), StartsWith("run.toml:2: "));
}

TEST_CASE("a table without a name is refused, a bracket within a text or a list is no table") {
  for (const char* header : {"[.a]", "[=]", "[ \x01]", "[[.a]]", "[", "[]", "[[", "\xEF\xBB\xBF[!]"}) {
    INFO(header);
    CHECK_THAT(error_of(std::string(header) + "\nsteps = 1"), StartsWith("run.toml:1: "));
  }
  CHECK(error_of("[data]\n\n  [.a]") ==
        "run.toml:3: the name of a table must follow its bracket, as in [training].");
  constexpr std::string_view brackets = R"([evaluation]
sample_prompts = [
"""
[.a]\"""""", # [ "
'''
[=]'''
]
)";
  CHECK(load_toml(brackets).sample_prompts == std::vector<std::string>{"[.a]\"\"\"", "[=]"});
  CHECK(load_toml("[output] # \"\nrun = '[\"'\n").run == "[\"");
  CHECK_THAT(error_of("[data]\ndata = [\n[=]\n]"), StartsWith("run.toml:3: "));
}

TEST_CASE("characters beyond ASCII stand within quotes and comments only") {
  CHECK(load_toml("[output] # \u00e9\nrun = \"\u00e9\\n\u00e9\"").run == "\u00e9\n\u00e9");
  CHECK(error_of("[output]\nrun = \u00e9") ==
        "run.toml:2: characters beyond ASCII must stand within quotes or in a comment.");
  CHECK(error_of("[output]\n\u2003run = 1") ==
        "run.toml:2: characters beyond ASCII must stand within quotes or in a comment.");
  CHECK(error_of("[output]\nrun = \"\"\"\na\\\n \u00e9\"\"\"") ==
        "run.toml:3: a character beyond ASCII must not follow a backslash.");
  for (const char* text : {"run = [\x0B]", "\x7F", "run = 1 \x01"}) {
    CHECK(error_of(text) == "run.toml:1: control characters must not stand outside of quotes.");
  }
  for (const char* text : {"[data]\ndata = [}]", "[data]\ndata = {"}) {
    CHECK(error_of(text) ==
          "run.toml:2: a table must start with its name on a line of its own, as in [training].");
  }
  for (const char* value :
       {"0'\u00e9'", "0 \"\u00e9\"", "0['\u00e9']", "0='\u00e9'", "[0='\u00e9']", "0.'\u00e9'"}) {
    CHECK(error_of(std::string("[training]\nsteps = ") + value) ==
          "run.toml:2: a text or a list must follow a key and =, or a comma within a list.");
  }
}

TEST_CASE("whole numbers may be written with an exponent, numbers without a point, lists as one text") {
  CHECK(load_toml("[training]\ntokens = 3e11").tokens == 300'000'000'000);
  CHECK(load_toml("[optimizer]\nclip = 2").clip == 2.0);
  CHECK(load_toml("[data]\ndata = \"a.txt\"").data == std::vector<std::string>{"a.txt"});
}

TEST_CASE("texts of a command line become the values of their rules") {
  const auto value = [](std::string_view key, const std::string& text) {
    return parsed(find_field(key)->rule, text, option_name(key));
  };
  CHECK(value("tokens", "300e9") == Value{Index{300'000'000'000}});
  CHECK(value("learning_rate", "1") == Value{1.0});
  CHECK(value("resume", "true") == Value{true});
  CHECK_THROWS_WITH(value("learning_rate", "fast"),
                    Equals("--learning-rate must be a number above 0 and up to 10, not \"fast\"."));
  for (const char* bad : {"", " 5", "5 ", "0x10", "1e99", "9223372036854775808", "-", "--steps"}) {
    CHECK_THROWS_AS(value("steps", bad), ConfigError);
  }
  CHECK_THROWS_WITH(value("run", "a\xc0"),
                    Equals("--run must be text in UTF-8, not text that is not UTF-8."));
  CHECK_THROWS_WITH(value("steps", std::string(1000, 'x')), Contains("xxx...."));
}

TEST_CASE("settings that do not fit each other are refused") {
  const RunConfiguration good;
  REQUIRE_NOTHROW(validate(good));
  const auto refused = [&](auto change) {
    RunConfiguration configuration = good;
    change(configuration);
    try {
      validate(configuration);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  using C = RunConfiguration;
  CHECK_THAT(refused([](C& c) { c.run = ""; }), StartsWith("run must"));
  CHECK_THAT(refused([](C& c) { c.size.width = 7; }), StartsWith("width must be even"));
  CHECK_THAT(refused([](C& c) { c.tokens = 0; }), StartsWith("one of steps, tokens and time_limit"));
  CHECK_THAT(refused([](C& c) { c.initial_learning_rate = 1; }), StartsWith("initial_learning_rate must"));
  CHECK_THAT(refused([](C& c) { c.weight_decay = 1; }), StartsWith("weight_decay needs"));
  CHECK(refused([](C& c) { c.batch_tokens = 5000; }) ==
        "batch_tokens must be a multiple of context x micro_batch = 2048, such as 4096, not 5000.");
  CHECK_THAT(refused([](C& c) {
               c.tokens = 0;
               c.time_limit = 1;
               c.batch_ramp = "0.5:2";
             }),
             StartsWith("batch_ramp needs"));
  for (const Preset& named : presets) {
    RunConfiguration configuration = good;
    apply_preset(configuration, named);
    CHECK_NOTHROW(validate(configuration));
  }
}

std::string mutated(std::string text, Draws& draws) {
  static const std::string inserts[] = {"[",          "]",
                                        "\"",         "=",
                                        "\n",         "1e999",
                                        "'''",        "{",
                                        "}",          "\xff",
                                        "\\u",        ".",
                                        "#",          "nan",
                                        "\n[",        "\n[[",
                                        "\"\"\"",     "99999999999999999999",
                                        "inf",        "\xc3\xa9",
                                        "\\",         "\xe2\x80\x83",
                                        "1979-05-27", ",",
                                        "-"};
  for (std::uint64_t changes = 1 + draws.below(4); changes > 0; --changes) {
    const std::size_t at = draws.below(text.size() + 1);
    const std::uint64_t kind = draws.below(4);
    if (kind == 0) text.insert(at, inserts[draws.below(std::size(inserts))]);
    if (kind == 1) text.erase(at, 1 + draws.below(20));
    if (kind == 2 && at < text.size()) text[at] = static_cast<char>(draws.below(256));
    if (kind == 3) text.insert(at, text.substr(draws.below(text.size() + 1), draws.below(60)));
  }
  return text;
}

TEST_CASE("a damaged file is read or refused, never more", "[fuzz]") {
  std::vector<std::string> texts;
  for (std::uint64_t i = 0; i < 10; ++i) texts.push_back(to_toml(random_configuration(i)));
  std::uint64_t refused = 0;
  const std::uint64_t first = fuzz_seed() << 32, rounds = static_cast<std::uint64_t>(fuzz_rounds(2000));
  for (std::uint64_t round = 0; round < rounds; ++round) {
    Draws draws{first + round};
    const std::string text = mutated(texts[round % texts.size()], draws);
    try {
      const RunConfiguration configuration = load_toml(text);
      REQUIRE(load_toml(to_toml(configuration)) == configuration);
    } catch (const ConfigError& error) {
      const std::string message = error.what();
      REQUIRE(message.back() == '.');
      REQUIRE(std::count(message.begin(), message.end(), '\n') == 0);
      ++refused;
    }
  }
  CHECK(refused > rounds / 4);
}

}  // namespace
}  // namespace gopher::run_configuration_test
