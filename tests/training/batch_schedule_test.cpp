// The batch schedule: every token is planned for once, and a ramp comes where it was asked for.
#include "gopher_model/training/batch_schedule.hpp"

#include <catch2/catch.hpp>

namespace gopher::batch_schedule_test {
namespace {

RunConfiguration run_of(Index steps, Index tokens, Index batch, const char* ramp) {
  RunConfiguration configuration;
  configuration.steps = steps;
  configuration.tokens = tokens;
  configuration.batch_tokens = batch;
  configuration.batch_ramp = ramp;
  return configuration;
}

/// Tokens of all steps before `step`.
Index tokens_before(const BatchSchedule& schedule, Index step) {
  const Index small = std::min(step, schedule.ramp_step);
  return small * schedule.batch_tokens(0) + (step - small) * schedule.batch_tokens(schedule.ramp_step);
}

TEST_CASE("the paper's runs take the steps that their tokens need") {
  RunConfiguration configuration;
  apply_preset(configuration, gopher_44m);
  CHECK(batch_schedule(configuration).steps == 1'144'410);
  apply_preset(configuration, gopher_7_1b);
  CHECK(batch_schedule(configuration).steps == 143'052);
  apply_preset(configuration, gopher_280b);
  const BatchSchedule schedule = batch_schedule(configuration);
  CHECK(schedule.steps == Approx(71.5e3).epsilon(1e-3));
  CHECK(schedule.batch_tokens(0) == 3'145'728);
  CHECK(schedule.batch_tokens(schedule.steps - 1) == 6'291'456);
  CHECK(static_cast<double>(tokens_before(schedule, schedule.ramp_step)) == Approx(150e9).epsilon(1e-4));
}

TEST_CASE("the last step reaches the tokens and the step before it does not") {
  for (const char* ramp : {"", "0.5:2", "0.1:16", "0.99:3"}) {
    for (Index tokens = 1; tokens < 400; tokens += 7) {
      for (const Index batch : {1, 3, 50, 1000}) {
        const BatchSchedule schedule = batch_schedule(run_of(0, tokens, batch, ramp));
        INFO(ramp << ", " << tokens << " tokens in batches of " << batch);
        CHECK(tokens_before(schedule, schedule.steps) >= tokens);
        CHECK(tokens_before(schedule, schedule.steps - 1) < tokens);
      }
    }
  }
}

TEST_CASE("a ramp in a run of so many steps comes at the fraction of its tokens") {
  const BatchSchedule schedule = batch_schedule(run_of(900, 0, 10, "0.5:2"));
  CHECK(schedule.steps == 900);
  CHECK(tokens_before(schedule, schedule.ramp_step) * 2 == tokens_before(schedule, 900));
}

TEST_CASE("the earlier of two limits ends a run, without limits there is none") {
  CHECK(batch_schedule(run_of(5, 1000, 10, "")).steps == 5);
  CHECK(batch_schedule(run_of(500, 1000, 10, "")).steps == 100);
  CHECK(batch_schedule(run_of(0, 0, 10, "")).steps == 0);
  CHECK(batch_schedule(run_of(0, 0, 10, "")).batch_tokens(1'000'000) == 10);
}

TEST_CASE("what is not a ramp is refused") {
  CHECK(parse_batch_ramp("").factor == 1);
  CHECK(parse_batch_ramp("0.25:3").at == 0.25);
  CHECK(parse_batch_ramp("0.25:3").factor == 3);
  for (const char* bad :
       {":", "0.5", "0.5:", ":2", "0:2", "1:2", "-1:2", "nan:2", "0.5:1", "0.5:17", "0.5:2x", "0.5:2:3"}) {
    INFO(bad);
    CHECK_THROWS_AS(parse_batch_ramp(bad), ConfigError);
  }
}

}  // namespace
}  // namespace gopher::batch_schedule_test
