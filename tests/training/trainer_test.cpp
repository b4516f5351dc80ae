// Whole runs: interrupted ones end as uninterrupted ones do, and nothing that is on disk is lost or misread.
#include "gopher_model/training/trainer.hpp"

#include <burrow/core/parallel.hpp>
#include <burrow/io/file.hpp>
#include <catch2/catch.hpp>

#include "gopher_model/tokenizer/tokenizer.hpp"
#include "tests/held_sync.hpp"
#include "tests/threads.hpp"
#include "tests/training/tiny_run.hpp"

namespace gopher::trainer_test {
namespace {

using Catch::Contains;

std::vector<double> losses(const RunConfiguration& c) {
  std::vector<double> all;
  for (const auto& record : records(c, "step")) all.push_back(record.at("loss").get<double>());
  return all;
}

std::string refusal(const RunConfiguration& c) {
  const Audience audience{c};
  try {
    train(c);
  } catch (const burrow::Error& error) {
    return error.what();
  }
  return "trained";
}

void resumes_to_the_same_bits(Precision precision, int signal) {
  CAPTURE(name_of(precision));
  const Workplace place;
  auto whole = place.configuration("whole");
  whole.precision = precision;
  train_watched(whole);
  REQUIRE(losses(whole).size() == 8);

  auto parted = whole;
  parted.run = place / "parted";
  const std::string shown = train_watched(parted, 3, signal);
  CHECK_THAT(shown,
             Contains("stopped after step 4") && Contains("gopher train --resume --run " + parted.run));
  const RunFiles files{parted.run};
  REQUIRE(files.newest_checkpoint()->step == 4);
  CHECK_FALSE(std::filesystem::exists(files.samples(4)));

  parted.resume = true;
  CHECK_THAT(train_watched(parted), Contains("resumed after step 4"));
  CHECK(same_tensors(RunFiles{whole.run}.checkpoint(8), files.checkpoint(8)));
  CHECK(losses(whole) == losses(parted));
  CHECK(std::filesystem::exists(files.samples(8)));
}

TEST_CASE("a run that was interrupted and resumed ends with the bits of one that was not") {
  resumes_to_the_same_bits(Precision::float32, SIGTERM);
  resumes_to_the_same_bits(Precision::mixed_bf16, SIGINT);
  resumes_to_the_same_bits(Precision::bf16_stochastic, SIGTERM);
  resumes_to_the_same_bits(Precision::bf16_master, SIGTERM);
}

TEST_CASE("what a run records only moves forwards, and says what happened") {
  const Workplace place;
  auto c = place.configuration("run");
  c.evaluate_every = 3;
  c.checkpoint_every = 3;
  c.keep = 2;
  train_watched(c);
  Index before = 0;
  for (const auto& record : records(c)) {
    CHECK(record.at("step") >= before);
    before = record.at("step");
  }
  const auto steps = records(c, "step");
  REQUIRE(steps.size() == 8);
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(steps[i].at("step") == i + 1);
    CHECK(steps[i].at("tokens") == 64 * (i + 1));
    CHECK(steps[i].at("learning_rate") > 0);
    CHECK(steps[i].at("skipped") == 0);
  }
  CHECK(steps.back().at("loss") < steps.front().at("loss"));
  CHECK(records(c, "evaluation").size() == 3);
  CHECK(records(c, "checkpoint").size() == 3);
  const auto checkpoints = RunFiles{c.run}.checkpoints();
  REQUIRE(checkpoints.size() == 2);
  CHECK(checkpoints[0].step == 6);
  CHECK(checkpoints[1].step == 8);
  CHECK(load_toml(to_toml(c)).size.context == 16);
}

/// How many steps are recorded so far; from any thread.
int steps_of(const RunConfiguration& c) {
  int count = 0;
  std::ifstream file(RunFiles{c.run}.metrics());
  for (std::string line; std::getline(file, line);) count += line.find("\"kind\":\"step\"") != line.npos;
  return count;
}

TEST_CASE("steps go on while a checkpoint is written, and it has the bits of one that they waited for") {
  const Workplace place;
  const Threads scope{1};  // how much scratch memory several take at once is theirs to decide
  auto c = place.configuration("beside");
  c.precision = Precision::bf16_master;
  c.checkpoint_every = 4;
  {
    const HeldSync disk{[&] { return steps_of(c) >= 6; }};  // that of step 4 takes until step 6 is done
    train_watched(c);
    CHECK(disk.calls() == 4);  // two files and their directory
    CHECK_FALSE(disk.in_vain());
  }
  auto waiting = c;
  waiting.run = place / "waiting";
  waiting.asynchronous_checkpoints = false;
  train_watched(waiting);
  for (const Index step : {4, 8}) {
    CAPTURE(step);
    CHECK(same_tensors(RunFiles{c.run}.checkpoint(step), RunFiles{waiting.run}.checkpoint(step)));
  }
  const auto costs = records(c, "costs").at(0), of_waiting = records(waiting, "costs").at(0);
  const Index parameters = costs.at("memory").at("parameters").get<Index>() / 2;
  CHECK(costs.at("memory").at("checkpoint_copy") == (2 + 4 + 8) * parameters);
  CHECK(costs.at("largest_peak").get<Index>() >=
        of_waiting.at("largest_peak").get<Index>() + 13 * parameters);
  CHECK_FALSE(of_waiting.at("memory").contains("checkpoint_copy"));
}

TEST_CASE("a checkpoint that comes due while the one before is written waits for it, and says so") {
  const Workplace place;
  auto c = place.configuration("run");
  c.checkpoint_every = 2;
  std::atomic<int> times{0};
  const HeldSync disk{[&] { return steps_of(c) >= 4 && ++times > 150; }};  // 1.5 s after step 4
  CHECK_THAT(train_watched(c), Contains("the checkpoint after step 4 waited ") &&
                                   Contains("a larger --checkpoint-every lets it finish"));
  const auto costs = records(c, "costs").at(0);
  CHECK(costs.at("checkpoint_waits") >= 1);
  CHECK(costs.at("checkpoint_seconds") >= 1.0);
  CHECK(RunFiles{c.run}.checkpoints().size() == 4);
}

TEST_CASE("a signal ends a run when the checkpoint on its way is on disk") {
  const Workplace place;
  auto c = place.configuration("run");
  c.checkpoint_every = 3;
  std::atomic<int> times{0};
  const HeldSync disk{[&] { return ++times > 50; }};
  CHECK_THAT(train_watched(c, 3, SIGTERM), Contains("stopped after step 4"));
  const auto checkpoints = RunFiles{c.run}.checkpoints();
  REQUIRE(checkpoints.size() == 2);
  for (const auto& saved : checkpoints) CHECK(saved.damage.empty());
}

TEST_CASE("a run is the same however its steps are cut into micro-batches, within rounding") {
  const Workplace place;
  auto one = place.configuration("one"), four = place.configuration("four");
  one.micro_batch = 1;
  four.micro_batch = 4;
  four.rematerialize = "block";
  four.threads = 1;
  one.threads = 3;
  const Threads scope{burrow::threads()};
  train_watched(one);
  train_watched(four);
  const auto a = losses(one), b = losses(four);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).epsilon(1e-4));
}

TEST_CASE("a profiled run says where the time of its steps goes, traces one, and learns the same") {
  const Workplace place;
  const auto plain = place.configuration("plain");
  auto profiled = place.configuration("profiled");
  profiled.profile = true;
  profiled.profile_steps = 2;
  train_watched(plain);
  const std::string shown = train_watched(profiled);
  CHECK_THAT(shown, Contains("profile of 2 steps") && Contains("\nforward   relative_attention") &&
                        Contains("\nbackward  matmul") && Contains("\nupdate    gradient norm ") &&
                        Contains("\nupdate    adam ") && Contains("\ndata      all ") &&
                        Contains("\nbetween   operations "));
  CHECK(losses(profiled) == losses(plain));
  const RunFiles files{profiled.run};
  const auto trace = nlohmann::json::parse(burrow::read_text(files.root / "profile.json"));
  CHECK(trace.at("traceEvents").size() > 50);
  CHECK_FALSE(load_toml(burrow::read_text(files.configuration())).profile);
  for (const auto& record : records(plain, "step")) CHECK(record.at("data_wait").get<double>() >= 0);

  auto short_run = place.configuration("short");
  short_run.profile = true;
  short_run.steps = 3;
  CHECK_THAT(train_watched(short_run), Contains("profile of 1 step, "));
}

TEST_CASE("a run is never overwritten") {
  const Workplace place;
  auto c = place.configuration("run");
  c.steps = 1;
  CHECK_THAT(refusal([&] {
               auto none = c;
               none.resume = true;
               return none;
             }()),
             Contains("holds no run to resume"));
  train_watched(c);
  const auto before = std::filesystem::last_write_time(RunFiles{c.run}.checkpoint(1));
  CHECK_THAT(refusal(c), Contains(c.run) && Contains("already holds a run; pass --resume"));
  CHECK(std::filesystem::last_write_time(RunFiles{c.run}.checkpoint(1)) == before);
}

TEST_CASE("a resumed run starts from a whole checkpoint of its own, or says why it cannot") {
  const Workplace place;
  auto c = place.configuration("run");
  c.steps = 2;
  c.checkpoint_every = 1;
  train_watched(c);
  const RunFiles files{c.run};
  c.resume = true;
  c.steps = 3;

  auto wider = c;
  wider.size.feed_forward = 40;
  CHECK_THAT(refusal(wider), Contains(files.checkpoint(2).string()) && Contains("another model size"));
  auto narrow = c;
  narrow.precision = Precision::bf16_stochastic;
  CHECK_THAT(refusal(narrow), Contains("another model size or precision"));

  // A torn newest checkpoint: the one before it serves.
  std::filesystem::resize_file(files.checkpoint(2), std::filesystem::file_size(files.checkpoint(2)) / 2);
  CHECK_THAT(train_watched(c), Contains(files.checkpoint(2).string()) && Contains("resumed after step 1"));
  CHECK(records(c, "step").size() == 3);

  // Somebody else's file in its place.
  const std::vector<float> values(3);
  for (const auto& saved : files.checkpoints()) std::filesystem::remove(saved.path);
  burrow::write_safetensors(files.checkpoint(9), std::array{burrow::tensor_entry<float>("x", {3}, values)});
  CHECK_THAT(refusal(c), Contains(files.checkpoint(9).string() + ": not a Gopher checkpoint"));

  // No whole checkpoint at all: the run is not silently started anew.
  std::filesystem::resize_file(files.checkpoint(9), 11);
  CHECK_THAT(refusal(c), Contains(files.checkpoint(9).string()));
}

void append(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::app) << text;
}

TEST_CASE("a warm-up that is too long for the run is shortened, and the run says so") {
  const Workplace place;
  auto c = place.configuration("run");
  c.steps = 10;
  c.warmup_steps = 7;
  CHECK_THAT(train_watched(c), Contains("warm-up shortened from 7 to 2 steps, a fifth of the run's 10"));
  CHECK(load_toml(burrow::read_text(RunFiles{c.run}.configuration())).warmup_steps == 2);
  CHECK(records(c, "step").at(2).at("learning_rate") == Approx(1e-2));
  c.run = place / "short";
  c.warmup_steps = 2;
  CHECK_THAT(train_watched(c), !Contains("shortened"));
}

TEST_CASE("a run whose text or tokenizer changed does not go on, and stays as it was") {
  const Workplace place;
  auto c = place.configuration("run");
  c.steps = 2;
  train_watched(c);
  const RunFiles files{c.run};
  const auto everything = [&] {
    std::string all;
    for (const auto& path : {files.configuration(), files.metrics(), files.tokenizer(),
                             files.training_tokens(), files.held_out_tokens(), files.checkpoint(2)})
      all += burrow::read_text(path) + '\0';
    return all;
  };
  const std::string before = everything();
  c.resume = true;
  c.steps = 3;

  auto other = c;
  other.data = {place / "other.txt"};
  std::filesystem::copy(c.data[0], other.data[0]);
  append(other.data[0], "one more line\n");
  CHECK_THAT(refusal(other), Contains("The text is not the one that " + files.checkpoint(2).string()));
  auto seeded = c;
  seeded.seed = 1;
  CHECK_THAT(refusal(seeded), Contains("started with the seed 0"));
  auto wider = c;
  wider.size.feed_forward = 40;
  CHECK_THAT(refusal(wider), Contains("another model size"));
  CHECK(everything() == before);

  const std::filesystem::path kept = place / "kept";
  std::filesystem::rename(files.tokenizer(), kept);
  Tokenizer::train("a text of another kind, with other words", {.vocabulary = 320}).save(files.tokenizer());
  CHECK_THAT(refusal(c), Contains(files.tokenizer().string() + " is not the tokenizer"));
  std::filesystem::rename(kept, files.tokenizer());
  CHECK_THAT(train_watched(c), Contains("resumed after step 2"));
}

TEST_CASE("a resumed run reads its tokens from the cache, and never a damaged one") {
  const Workplace place;
  auto c = place.configuration("run");
  c.steps = 2;
  train_watched(c);
  const std::filesystem::path shard = RunFiles{c.run}.training_tokens();
  const auto written = std::filesystem::last_write_time(shard);
  c.resume = true;
  c.steps = 3;
  train_watched(c);
  CHECK(std::filesystem::last_write_time(shard) == written);
  append(shard, "x");
  c.steps = 4;
  CHECK_THAT(refusal(c), Contains(shard.string() + " is damaged") && Contains("Remove it"));
  std::filesystem::remove(shard);
  train_watched(c);
  CHECK(std::filesystem::exists(shard));
}

TEST_CASE("a run on standard input goes on without it") {
  const Workplace place;
  const auto whole = place.configuration("whole");
  train_watched(whole);
  auto parted = whole;
  parted.run = place / "parted";
  parted.data = {"-"};
  std::ifstream text{whole.data[0]};
  auto* const before = std::cin.rdbuf(text.rdbuf());
  train_watched(parted, 3, SIGTERM);
  std::istringstream nothing;
  std::cin.rdbuf(nothing.rdbuf());
  parted.resume = true;
  CHECK_THAT(train_watched(parted), Contains("standard input is not read again"));
  std::cin.rdbuf(before);
  CHECK(same_tensors(RunFiles{whole.run}.checkpoint(8), RunFiles{parted.run}.checkpoint(8)));
  CHECK(losses(whole) == losses(parted));
}

TEST_CASE("a run that cannot start leaves no directory, and a vocabulary that is not reached is told") {
  const Workplace place;
  auto c = place.configuration("run");
  c.data = {place / "nothing.txt"};
  CHECK_THAT(refusal(c), Contains("nothing.txt"));
  c.data = {place / "text.txt"};
  const Index batch_tokens = c.batch_tokens;
  c.batch_tokens = c.size.context = 1 << 20;
  CHECK_THAT(refusal(c), Contains("too few for a context"));
  c.batch_tokens = batch_tokens;
  CHECK_FALSE(std::filesystem::exists(c.run));
  c.size.context = 16;
  c.size.vocabulary = 2048;
  c.steps = 1;
  CHECK_THAT(train_watched(c), Contains("tokens in place of 2,048, since the text is too small"));
}

TEST_CASE("a mesh of more ranks than there are is refused in one sentence") {
  const Workplace place;
  auto c = place.configuration("run");
  c.mesh = "data=2";
  CHECK_THAT(refusal(c), Contains("mesh data=2 is of 2 ranks, but"));
  CHECK_FALSE(std::filesystem::exists(c.run));
}

}  // namespace
}  // namespace gopher::trainer_test
