// Whole runs: interrupted ones end as uninterrupted ones do, and nothing that is on disk is lost or misread.
#include "gopher_model/training/trainer.hpp"

#include <burrow/core/parallel.hpp>
#include <catch2/catch.hpp>

#include "tests/threads.hpp"
#include "tests/training/tiny_run.hpp"

namespace gopher {
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

TEST_CASE("a run is the same however its steps are cut into micro-batches, within rounding") {
  const Workplace place;
  auto one = place.configuration("one"), four = place.configuration("four");
  one.micro_batch = 1;
  four.micro_batch = 4;
  four.rematerialize = true;
  four.threads = 1;
  one.threads = 3;
  const Threads scope{burrow::threads()};
  train_watched(one);
  train_watched(four);
  const auto a = losses(one), b = losses(four);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).epsilon(1e-4));
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

}  // namespace
}  // namespace gopher
