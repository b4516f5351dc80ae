// A run goes on with other ranks than it was saved with, and with the next sample; the same ranks give the
// same bits.
#include "runs.hpp"

#include "tests/io/same_tensors.hpp"

using mpi_program::check_close;
using mpi_program::Place;

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
  for (const char* const run : {"two", "four", "last"}) {
    CAPTURE(run);
    check_close(place.numbers(run, "step", "loss"), place.numbers("one", "step", "loss"), 1e-5);
  }
  for (const char* const run : {"two", "four", "last"})
    CHECK(place.gopher(0, "generate --run " + std::string(run) + " --prompt the --tokens 3").code == 0);
}

TEST_CASE("a run that is resumed on the same mesh goes on with the same bits") {
  const Place place;
  for (const char* const precision : {"float32", "bf16-master"}) {
    CAPTURE(precision);
    const std::string whole = std::string("whole-") + precision, parted = std::string("parted-") + precision;
    const std::string settings = std::string("--zero 1 --precision ") + precision;
    place.train(4, whole, settings);
    place.copy_up_to(whole, parted, 10);
    place.train(4, parted, "--resume " + settings);
    CHECK(place.numbers(parted, "step", "loss") == place.numbers(whole, "step", "loss"));
    for (int part = 0; part < 4; ++part)
      CHECK(same_tensors(gopher::part_path(gopher::RunFiles{place / whole}.checkpoint(20), part),
                         gopher::part_path(gopher::RunFiles{place / parted}.checkpoint(20), part)));
  }
}
