// A run goes on with other ranks than it was saved with, and with the next sample; the same ranks give the
// same bits.
#include "tests/mpi/program/runs.hpp"

#include "tests/io/same_tensors.hpp"

using mpi_program::check_close;
using mpi_program::Place;

namespace {

/// Runs against the run "one" of a single process; their last checkpoints continue a text.
void check_learnt(const Place& place, std::initializer_list<const char*> runs) {
  for (const char* const run : runs) {
    CAPTURE(run);
    check_close(place.numbers(run, "step", "loss"), place.numbers("one", "step", "loss"), 1e-5);
    CHECK(place.gopher(0, "generate --run " + std::string(run) + " --prompt the --tokens 3").code == 0);
  }
}

}  // namespace

TEST_CASE("a run that is resumed on other meshes learns what it would have learnt") {
  const Place place;
  place.train(0, "one", "");
  place.copy_up_to("one", "two", 5);
  place.train(2, "two", "--resume --zero 2");
  place.copy_up_to("two", "four", 10);
  place.train(4, "four", "--resume --zero 1");
  place.copy_up_to("four", "last", 15);
  const std::string text = place.train(0, "last", "--resume");
  CHECK_THAT(text, Catch::Contains("resumed after step 15"));
  check_learnt(place, {"two", "four", "last"});
}

TEST_CASE("a run whose model was divided in one way goes on divided in another, and whole") {
  const Place place;
  place.train(0, "one", "");
  place.copy_up_to("one", "tensor", 5);
  place.train(2, "tensor", "--resume --mesh tensor=2");
  place.copy_up_to("tensor", "pipeline", 10);
  place.train(4, "pipeline", "--resume --mesh data=2,pipeline=2");
  place.copy_up_to("pipeline", "blocks", 15);
  place.train(4, "blocks", "--resume --mesh data=2,tensor=2 --zero 3");
  place.copy_up_to("blocks", "whole", 15);
  place.train(0, "whole", "--resume --mesh data=1");
  place.copy_up_to("blocks", "data", 15);
  place.train(2, "data", "--resume --mesh data=2 --zero 3");
  check_learnt(place, {"tensor", "pipeline", "blocks", "whole", "data"});
}

TEST_CASE("a run that is resumed on the same mesh goes on with the same bits") {
  const Place place;
  int number = 0;
  for (const std::string settings :
       {"--zero 1", "--zero 1 --precision bf16-master", "--zero 3", "--mesh data=2,tensor=2 --zero 3",
        "--mesh pipeline=2,tensor=2 --precision bf16-stochastic"}) {
    CAPTURE(settings);
    const std::string whole = "whole" + std::to_string(++number), parted = "parted" + std::to_string(number);
    place.train(4, whole, settings);
    place.copy_up_to(whole, parted, 10);
    place.train(4, parted, "--resume " + settings);
    CHECK(place.numbers(parted, "step", "loss") == place.numbers(whole, "step", "loss"));
    for (int part = 0; part < 4; ++part)
      CHECK(same_tensors(gopher::part_path(gopher::RunFiles{place / whole}.checkpoint(20), part),
                         gopher::part_path(gopher::RunFiles{place / parted}.checkpoint(20), part)));
  }
}
