// gopher train under mpirun learns what one process learns, and sends the least that is possible.
#include "runs.hpp"

#include "gopher_model/model/accounting.hpp"
#include "gopher_model/training/plan.hpp"

using burrow::Index;
using Catch::Contains;
using mpi_program::check_close;
using mpi_program::Place;

namespace {

constexpr gopher::ModelSize size{2, 16, 2, 8, 32, 320, 16};

Index sent(const nlohmann::json& costs, const char* collective) {
  return costs.at("sent").contains(collective) ? costs.at("sent").at(collective).at("bytes").get<Index>() : 0;
}

/// Bytes that all ranks together send in twenty steps: the gradient is added over all ranks, or scattered and
/// the parameters gathered, each 2 (N - 1) values for each element; so are the loss, the norm, and three
/// numbers.
void check_least(const nlohmann::json& costs, Index ranks, Index zero, Index micro_batches) {
  const Index model = 4 * gopher::parameters(size).full() * (ranks - 1) * 20;
  const Index numbers = 2 * 8 * (zero > 0 ? 5 : 4) * (ranks - 1) * 20;
  CHECK(costs.at("steps") == 20);
  CHECK(sent(costs, "all_reduce") == (zero == 0 ? 2 * model : 0) + numbers);
  CHECK(sent(costs, "reduce_scatter") == (zero == 0 ? 0 : zero == 1 ? model : micro_batches * model));
  CHECK(sent(costs, "all_gather") == (zero == 0 ? 0 : model));
}

/// What the run has measured, against its plan.
void check_planned(const nlohmann::json& costs, int ranks, int zero) {
  gopher::RunConfiguration c;
  c.size = size;
  c.batch_tokens = 256;
  const gopher::Plan plan =
      gopher::plan(c, {{.data = ranks}, zero, 2, false}, gopher::machine_called("h100"));
  CHECK(sent(costs, "all_reduce") == 20 * plan.messages.all_reduce);
  CHECK(sent(costs, "reduce_scatter") == 20 * plan.messages.reduce_scatter);
  CHECK(sent(costs, "all_gather") == 20 * plan.messages.all_gather);
  const auto& memory = costs.at("memory");
  CHECK(memory.at("parameters") == plan.memory.parameters);
  CHECK(memory.at("gradients") == plan.memory.gradients);
  CHECK(memory.at("adam.first_moment").get<Index>() + memory.at("adam.second_moment").get<Index>() ==
        plan.memory.moments);
  CHECK(memory.at("checkpoint_copy") == plan.memory.checkpoint_copy);
}

}  // namespace

TEST_CASE("a run on several ranks learns what a run of one process learns") {
  const Place place;
  place.train(0, "single", "");
  const auto losses = place.numbers("single", "step", "loss");
  REQUIRE(losses.size() == 20);
  CHECK(losses.back() < 0.9 * losses.front());
  for (const int ranks : {2, 4})
    for (const int zero : {0, 1, 2}) {
      CAPTURE(ranks, zero);
      const std::string run = "run" + std::to_string(ranks) + std::to_string(zero);
      const std::string text =
          place.train(ranks, run, "--zero " + std::to_string(zero) + " --mesh data=" + std::to_string(ranks));
      CHECK_THAT(text, Contains("ranks: " + std::to_string(ranks) + ", mesh data=" + std::to_string(ranks)));
      for (const char* once : {"20/20", "--- sample 1 ---", "held-out text after step 20"})
        CHECK(text.find(once) == text.rfind(once));
      check_close(place.numbers(run, "step", "loss"), losses, 1e-5);
      check_close(place.numbers(run, "step", "gradient_norm"),
                  place.numbers("single", "step", "gradient_norm"), 1e-4);
      check_close(place.numbers(run, "evaluation", "loss"), place.numbers("single", "evaluation", "loss"),
                  1e-5);
      const auto costs = place.records(run, "costs").at(0);
      check_least(costs, ranks, zero, 8 / ranks);
      check_planned(costs, ranks, zero);
    }
  CHECK(place.numbers("run40", "step", "loss") == place.numbers("run41", "step", "loss"));
}

TEST_CASE("a mesh that does not fit is refused once, in a sentence") {
  const Place place;
  const auto refused = [&](int ranks, const std::string& settings, const std::string& why) {
    const auto outcome = place.gopher(ranks, Place::training("run", settings));
    INFO(outcome.text);
    CHECK(outcome.code != 0);
    const auto found = outcome.text.find("gopher: " + why);
    CHECK(found != outcome.text.npos);
    CHECK(found == outcome.text.rfind("gopher: "));
    CHECK_FALSE(mpi_program::fs::exists(place / "run"));
  };
  refused(2, "--mesh data=4",
          "mesh data=4 is of 4 ranks, but the world has 2: start 4 processes or take the mesh data=2");
  refused(0, "--mesh data=2",
          "mesh data=2 is of 2 ranks, but the world has 1: start 2 processes or take the mesh data=1");
  refused(3, "",
          "batch_tokens must be a multiple of context x data ranks = 16 x 3 = 48, such as 288, not 256.");
  refused(2, "--data nothing", "nothing");
}

TEST_CASE("a launcher whose processes cannot meet is noticed") {
  const Place place;
  const auto outcome = place.gopher(0, Place::training("run"), "OMPI_COMM_WORLD_SIZE=2");
  CHECK(outcome.code != 0);
  CHECK_THAT(outcome.text, Contains("a launcher has started 2 processes, but each of them sees 1"));
}
