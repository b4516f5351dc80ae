// What happens to a run when a rank is killed, at any moment, or its loss is no number.
#include <cstdlib>
#include <ctime>

#include "runs.hpp"

using Catch::Contains;
using mpi_program::check_close;
using mpi_program::Place;

namespace {

/// Starts a run on some ranks and, `delay` seconds after they all run and a checkpoint is there, kills one.
mpi_program::Outcome train_and_kill(const Place& place, int ranks, int victim, const std::string& delay,
                                    const std::string& arguments) {
  const std::string children = "pgrep -P $launcher";
  return place.shell(Place::command(ranks) + " " + arguments + " & launcher=$!\n" + "until [ $(" + children +
                     " | wc -l) -ge " + std::to_string(ranks) +
                     " ] && ls run/checkpoints/*.safetensors > /dev/null 2>&1; do\n" +
                     "kill -0 $launcher || break; sleep 0.02; done\nsleep " + delay + "\nkill -9 $(" +
                     children + " | sed -n '" + std::to_string(victim + 1) +
                     "p')\nstarted=$(date +%s)\nwait $launcher\ncode=$?\n" +
                     "echo \"ended after $(($(date +%s) - started)) s\"\nexit $code");
}

/// How many ranks are killed; the environment's GOPHER_KILLS.
int kills() {
  const char* const number = std::getenv("GOPHER_KILLS");
  return number == nullptr ? 4 : std::atoi(number);
}

}  // namespace

TEST_CASE("a rank that is killed ends the others, and the run goes on from a whole checkpoint") {
  const Place place;
  // At this learning rate runs of other numbers of ranks, whose sums have another order, stay together.
  const auto settings = [&](const std::string& run, const std::string& more = "") {
    return Place::training(run, "--checkpoint-every 1 --keep 2 --learning-rate 0.001 --steps " +
                                    std::to_string(100 + 50 * kills()) + more);
  };
  const auto whole = place.gopher(0, settings("whole"));
  REQUIRE(whole.code == 0);
  const burrow::Key key{static_cast<std::uint64_t>(::time(nullptr))};
  std::string resume;
  for (int i = 0; i < kills(); ++i) {
    const auto draw = key.bits(static_cast<std::uint64_t>(i));
    constexpr int numbers[] = {1, 2, 4};
    const int ranks = numbers[draw % 3], victim = static_cast<int>(draw / 3 % static_cast<unsigned>(ranks));
    const std::string delay = "0." + std::to_string(100 + draw / 16 % 900);
    const std::string beside = draw / 16384 % 4 == 0 ? " --no-asynchronous-checkpoints" : "";
    CAPTURE(i, ranks, victim, delay, beside);
    const auto outcome = train_and_kill(place, ranks, victim, delay, settings("run", resume + beside));
    INFO(outcome.text);
    resume = " --resume";
    if (outcome.code == 0) continue;  // it had ended before
    CHECK_THAT(outcome.text, Contains("process rank " + std::to_string(victim) + " "));
    const auto ended = outcome.text.rfind("ended after ");
    REQUIRE(ended != outcome.text.npos);
    CHECK(std::atoi(outcome.text.c_str() + ended + 12) <= 10);
    REQUIRE(gopher::RunFiles{place / "run"}.newest_checkpoint());
  }
  const auto last = place.gopher(2, settings("run", resume));
  INFO(last.text);
  REQUIRE(last.code == 0);
  CHECK_THAT(last.text, !Contains("damaged"));
  check_close(place.numbers("run", "step", "loss"), place.numbers("whole", "step", "loss"), 1e-3);
  check_close(place.numbers("run", "evaluation", "loss"), place.numbers("whole", "evaluation", "loss"), 1e-3);
}

TEST_CASE("steps whose loss is no number are left out by all ranks, until there are too many") {
  const Place place;
  const auto outcome = place.gopher(  // each step multiplies the parameters by 1 - 10 * 10
      2, Place::training("run",
                         "--steps 200 --optimizer adamw --weight-decay 10 --learning-rate 10 "
                         "--initial-learning-rate 10 --warmup-steps 0 --checkpoint-every 1"));
  INFO(outcome.text);
  CHECK(outcome.code != 0);
  CHECK_THAT(outcome.text, Contains("left the model as it was, since its loss or gradient was not finite") &&
                               Contains("gopher: the loss was not finite in 21 steps in a row") &&
                               Contains("The last checkpoint is intact"));
  CHECK(outcome.text.find("in a row") == outcome.text.rfind("in a row"));
  CHECK(gopher::RunFiles{place / "run"}.newest_checkpoint());
}
