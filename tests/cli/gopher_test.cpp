// The built `gopher` program from outside: exit codes, what it prints, and a run from training to text.
#ifdef GOPHER_PROGRAM

#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <burrow/core/key.hpp>

#include "tests/io/same_tensors.hpp"

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

/// A command that trains in an instant, or with other sizes.
std::string tiny_with(int feed_forward, int batch_tokens) {
  return "train --data text --layers 1 --width 16 --heads 2 --head-width 8 --vocabulary 320 --context 16 "
         "--micro-batch 4 --tokens 0 --warmup-steps 2 --learning-rate 0.01 --log-every 1 --sample-tokens 4 "
         "--feed-forward " +
         std::to_string(feed_forward) + " --batch-tokens " + std::to_string(batch_tokens) + " ";
}
const std::string tiny = tiny_with(32, 64);

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
  for (const char* help : {"--help", "train --help", "generate --help", "info --help", "help train",
                           "tokenizer encode --help", "help tokenizer encode"}) {
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
  refused("help trian", 2, "the closest is train");
  refused("--verison", 2, "no option --verison");
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

TEST_CASE("a GPU that is not there ends a run with 2 and the way to the CPU", "[cli]") {
  if (fs::exists("/dev/nvidiactl")) return;  // there may be one
  refused("train --device cuda --run never_made", 2, "--device cpu");
  refused("generate --device cuda --run never_made", 2, "--device cpu");
  CHECK_FALSE(fs::exists(place() / "never_made"));
}

TEST_CASE("info counts the paper's largest model", "[cli]") {
  const auto report = nlohmann::json::parse(gopher("info --preset 280B --json").out);
  CHECK(report.at("parameters") == 279'710'317'824);
  CHECK(report.at("state_bytes") == 2'797'103'178'240);
  CHECK(report.at("train_flops").get<double>() == Approx(6.31e23).epsilon(0.005));
  CHECK(report.at("layers") == 80);
  const auto kept = [](const char* optimizer) {
    const std::string command = std::string("info --preset 44M --json --optimizer ") + optimizer;
    const auto of = nlohmann::json::parse(gopher(command.c_str()).out);
    return of.at("state_bytes").get<std::int64_t>() / of.at("parameters").get<std::int64_t>();
  };
  CHECK(kept("adamw") == 12);
  CHECK(kept("sgd") == 8);
  CHECK(kept("sgd --beta1 0") == 4);
  CHECK_THAT(gopher("info --preset 44M --optimizer sgd --beta1 0").out,
             Contains("mixed-bf16 with sgd") && !Contains("moments"));
  const auto all = nlohmann::json::parse(gopher("info --json").out);
  REQUIRE(all.size() == 8);
  CHECK(all[0].at("preset") == "44M");
  const auto machine = nlohmann::json::parse(gopher("info --machine --json").out);
  for (const char* peak : {"float_flops_per_second", "bf16_flops_per_second", "read_bytes_per_second"})
    CHECK(machine.at(peak).get<double>() > 1e7);
  CHECK_THAT(gopher("info --machine").out, Contains("bf16 by ") && Contains(" GB/s") && Contains("caches"));
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
  CHECK_THAT(first.err, Contains("tokens/s") && !Contains("GB/s"));
  CHECK_THAT(gopher(ask + "--seed 1 --report").err, Contains("GB/s") && Contains("% of this machine's"));
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

TEST_CASE("a full disk leaves the checkpoint before, and the run goes on from it", "[cli]") {
  trained();
  const std::string run = tiny_with(4096, 64) + "--keep 0 --checkpoint-every 2 ";  // 1.7 MB a checkpoint
  REQUIRE(gopher(run + "--steps 6 --run roomy").code == 0);
  REQUIRE(gopher(run + "--steps 6 --run full").code == 0);
  for (const char* later : {"4", "6"})
    fs::remove(place() / (std::string("full/checkpoints/step-0000000") + later + ".safetensors"));
  const Outcome full = place().shell("ulimit -f 1000; gopher train --resume --run full");
  CHECK(full.code == 1);
  CHECK_THAT(full.err, Contains("gopher: full/checkpoints/step-00000004.safetensors: cannot be written: File "
                                "too large; the one after step 2 is whole: gopher train --resume --run full "
                                "goes on from it\n"));
  REQUIRE(gopher("train --resume --run full").code == 0);
  CHECK(same_tensors(place() / "full/checkpoints/step-00000006.safetensors",
                     place() / "roomy/checkpoints/step-00000006.safetensors"));
}

TEST_CASE("a second Ctrl-C ends a run at once", "[cli]") {
  trained();
  const Outcome outcome =
      place().shell("'" GOPHER_PROGRAM "' " + tiny_with(32, 6'553'600) +
                    "--steps 5 --run slow & "
                    "for i in $(seq 400); do [ -e slow/metrics.jsonl ] && break; sleep 0.05; done; "
                    "kill -INT $!; sleep 0.3; kill -INT $!; wait $!; echo $?");
  CHECK(outcome.out == "130\n");
  CHECK_THAT(outcome.err, Contains("finishing the step"));
}

TEST_CASE("of two processes with one directory, one trains", "[cli]") {
  trained();
  const std::string start = "'" GOPHER_PROGRAM "' " + tiny + "--steps 400 --run shared ";
  const Outcome outcome =
      place().shell(start + "2> first & " + start + "2> second; b=$?; wait $!; echo $? $b");
  const bool first_trains = outcome.out.ends_with("0 1\n");
  CHECK((first_trains || outcome.out.ends_with("1 0\n")));
  CHECK_THAT(read(place() / (first_trains ? "second" : "first")), Contains("another process"));
}

TEST_CASE("a run that is killed again and again ends as one that was left alone", "[cli]") {
  trained();
  const char* const asked = std::getenv("GOPHER_KILLS");
  const int kills = asked == nullptr ? 5 : std::atoi(asked);
  const std::string run = tiny + "--checkpoint-every 5 --steps " + std::to_string(120 * kills) + " --run ";
  REQUIRE(gopher(run + "alone").code == 0);
  place().shell("'" GOPHER_PROGRAM "' " + run +
                "killed & for i in $(seq 400); do grep -q '\"checkpoint\"' killed/metrics.jsonl && break; "
                "sleep 0.02; done; kill -KILL $!; wait $!");
  const std::string resume = "'" GOPHER_PROGRAM "' train --resume --run killed";
  for (int i = 1; i < kills; ++i) {
    const auto wait = 100 + burrow::Key{3}.bits(static_cast<std::uint64_t>(i)) % 500;
    place().shell(resume + " & sleep 0." + std::to_string(wait) + "; kill -KILL $!; wait $!");
  }
  const Outcome last = place().shell(resume);
  CHECK(last.code == 0);
  CHECK_THAT(last.err, Contains("resumed after step"));
  const std::string step = std::to_string(120 * kills);
  const std::string name = "/checkpoints/step-" + std::string(8 - step.size(), '0') + step + ".safetensors";
  CHECK(same_tensors(place() / ("alone" + name), place() / ("killed" + name)));
}

#endif
