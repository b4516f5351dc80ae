// The built `gopher` program from outside: exit codes, what it prints, and a run from training to text.
#ifdef GOPHER_PROGRAM

#include <stdlib.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <burrow/core/key.hpp>

namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

/// A directory for the test program, with what the program prints and one small run.
class Place {
 public:
  Place() {
    std::string name = (fs::temp_directory_path() / "gopher-cli-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw fs::filesystem_error("mkdtemp", {});
    root_ = name;
  }
  ~Place() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  std::string operator/(const std::string& name) const { return (root_ / name).string(); }

  /// Runs a line of shell in which `gopher` is the program.
  Outcome shell(const std::string& line) const {
    const std::string script =
        "gopher() { '" GOPHER_PROGRAM "' \"$@\"; }; cd '" + root_.string() + "'; " + line;
    std::ofstream(root_ / "script") << script;
    const int status = std::system(
        ("sh '" + *this / "script" + "' > '" + *this / "out" + "' 2> '" + *this / "err" + "'").c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(root_ / "out"), read(root_ / "err")};
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(root_ / name, std::ios::binary) << text;
  }

 private:
  fs::path root_;
};

const Place& place() {
  static const Place one;
  return one;
}
Outcome gopher(const std::string& arguments) { return place().shell("gopher " + arguments); }

/// One sentence on standard error, nothing on standard output.
void refused(const std::string& arguments, int code, const std::string& part) {
  const Outcome outcome = gopher(arguments);
  CAPTURE(arguments);
  CHECK(outcome.code == code);
  CHECK(outcome.out.empty());
  CHECK_THAT(outcome.err, StartsWith("gopher: ") && Contains(part) && EndsWith("\n"));
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
}

std::string sentences(int count) {
  const std::string words[] = {"the ", "small ", "gopher ", "digs ", "a ", "long ", "burrow ", "at night.\n"};
  std::string text;
  for (int i = 0; i < count; ++i) text += words[burrow::Key{1}.bits(static_cast<std::uint64_t>(i)) % 8];
  return text;
}

const std::string tiny =
    "train --data text --layers 1 --width 16 --heads 2 --head-width 8 --feed-forward 32 --vocabulary 320 "
    "--context 16 --batch-tokens 64 --micro-batch 4 --tokens 0 --warmup-steps 2 --learning-rate 0.01 "
    "--log-every 1 --sample-tokens 4 ";

/// The directory of a finished run.
const std::string& trained() {
  static const std::string run = [] {
    place().write("text", sentences(900));
    const Outcome outcome = gopher(tiny + "--steps 20 --run run");
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("--- sample 1 ---"));
    CHECK_THAT(outcome.err,
               Contains("20/20") && Contains("bits per byte") && Contains("gopher generate --run run"));
    return "run";
  }();
  return run;
}

}  // namespace

TEST_CASE("what works ends with 0", "[cli]") {
  CHECK_THAT(gopher("--version").out, StartsWith("gopher "));
  for (const char* help :
       {"--help", "train --help", "generate --help", "info --help", "tokenizer encode --help"}) {
    const Outcome outcome = gopher(help);
    CAPTURE(help);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    CHECK(outcome.out.size() > 100);
  }
}

TEST_CASE("a wrong command line ends with 2 and says what is right", "[cli]") {
  refused("", 2, "a command must follow gopher");
  refused("trian", 2, "the closest is train");
  refused("train --stpes 5", 2, "there is no option --stpes; the closest is --steps");
  refused("generate --run x --temprature 1", 2, "the closest is --temperature");
  refused("tokenizer", 2, "a command must follow gopher tokenizer");
  refused("train --steps many", 2, "--steps");
  refused("train --steps", 2, "--steps needs a value");
  refused("info --preset 281B", 2, "280B");
  refused("generate", 2, "--run DIR or --checkpoint FILE");
  refused("generate --run x --checkpoint y", 2, "--run DIR or --checkpoint FILE");
  refused("generate --run x --greedy --top-k 3", 2, "--top-k has no meaning");
}

TEST_CASE("what cannot be done ends with 1 and one sentence", "[cli]") {
  refused("generate --run nowhere", 1, "no whole checkpoint there");
  place().write("noise", "this is not a checkpoint");
  refused("generate --checkpoint noise", 1, "noise");
  refused("train --data nothing.txt --run failed", 1, "nothing.txt");
  refused("train --resume --run nowhere", 1, "holds no run to resume");
  refused("train --batch-tokens 100 --run failed", 1, "must be a multiple of context x micro_batch");
  const Outcome full = place().shell("gopher info > /dev/full");
  CHECK(full.code == 1);
  CHECK_THAT(full.err, Contains("standard output cannot be written"));
}

TEST_CASE("info counts the paper's largest model", "[cli]") {
  const auto report = nlohmann::json::parse(gopher("info --preset 280B --json").out);
  CHECK(report.at("parameters") == 279'710'317'824);
  CHECK(report.at("state_bytes") == 2'797'103'178'240);
  CHECK(report.at("train_flops").get<double>() == Approx(6.31e23).epsilon(0.005));
  CHECK(report.at("layers") == 80);
  const auto all = nlohmann::json::parse(gopher("info --json").out);
  REQUIRE(all.size() == 8);
  CHECK(all[0].at("preset") == "44M");
  CHECK(nlohmann::json::parse(gopher("info --machine --json").out).is_object());
}

TEST_CASE("tokens of any bytes decode to the bytes", "[cli]") {
  place().write("corpus", sentences(3000));
  REQUIRE(gopher("tokenizer train --data corpus --vocabulary 320 --output tokens").code == 0);
  std::string bytes = "the gopher\r\n\tdigs  \xff\xfe and \xe2\x82\xac\n";
  bytes += '\0';
  for (std::uint64_t i = 0; i < 300; ++i) bytes += static_cast<char>(burrow::Key{2}.bits(i));
  place().write("bytes", bytes);
  const Outcome outcome = place().shell(
      "gopher tokenizer encode --tokenizer tokens --input bytes | gopher tokenizer decode --tokenizer "
      "tokens");
  CHECK(outcome.code == 0);
  CHECK(outcome.out == bytes);
  refused("tokenizer decode --tokenizer tokens --input text-that-is-not-there", 1, "text-that-is-not-there");
  place().write("words", "12 thirteen");
  refused("tokenizer decode --tokenizer tokens --input words", 1, "token 2 is \"thirteen\"");
}

TEST_CASE("a trained model continues a text, the same for the same seed", "[cli]") {
  const std::string ask = "generate --run " + trained() + " --prompt 'the gopher' --tokens 24 ";
  const Outcome first = gopher(ask + "--seed 1");
  CHECK(first.code == 0);
  CHECK_THAT(first.out, StartsWith("the gopher"));
  CHECK_THAT(first.err, Contains("tokens/s"));
  CHECK(gopher(ask + "--seed 1").out == first.out);
  CHECK(gopher(ask + "--seed 2").out != first.out);
  const Outcome greedy = gopher(ask + "--greedy");
  CHECK(greedy.code == 0);
  CHECK(gopher(ask + "--greedy --seed 5 --threads 1").out == greedy.out);
  CHECK_THAT(gopher(ask + "--seed 1 --count 2").out,
             StartsWith(first.out + "---\n") || Contains("\n---\nthe gopher"));
  CHECK(
      place().shell("printf 'the gopher' | gopher generate --run run --prompt - --tokens 24 --seed 1").out ==
      first.out);
}

TEST_CASE("a run is kept: it is neither overwritten nor started twice", "[cli]") {
  trained();
  const std::string before = read(place() / "run/metrics.jsonl");
  refused(tiny + "--steps 20 --run run", 1, "already holds a run; pass --resume");
  CHECK(read(place() / "run/metrics.jsonl") == before);
}

TEST_CASE("a terminated run stops in good order and goes on", "[cli]") {
  trained();
  const Outcome stopped = place().shell("'" GOPHER_PROGRAM "' " + tiny +
                                        "--steps 1000000 --run long & "
                                        "until [ -s long/metrics.jsonl ]; do sleep 0.05; done; "
                                        "gopher train --resume --run long 2> locked; echo $?; "
                                        "kill -TERM $!; wait $!");
  CHECK(stopped.code == 0);
  CHECK(stopped.out == "1\n");
  CHECK_THAT(read(place() / "locked"), Contains("another process"));
  CHECK_THAT(stopped.err, Contains("stopped after step") && Contains("gopher train --resume --run long"));
  const Outcome resumed = gopher("train --resume --run long --steps 1");
  CHECK(resumed.code == 0);
  CHECK_THAT(resumed.err, Contains("resumed after step"));
}

#endif
