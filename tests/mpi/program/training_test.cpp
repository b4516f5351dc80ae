// gopher train under mpirun learns what one process learns, and sends the least that is possible.
#include "tests/mpi/program/runs.hpp"

#include "gopher_model/model/accounting.hpp"

using burrow::Index;
using Catch::Contains;
using mpi_program::check_close;
using mpi_program::Place;

namespace {

constexpr gopher::ModelSize size{2, 16, 2, 8, 32, 320, 16};
constexpr Index block_parameters = 5 * 16 * 16 + 2 * 16 + 16 + 2 * 16 * 32 + 32 + 16 + 2 * 16;

Index sent(const nlohmann::json& costs, const char* collective) {
  return costs.at("sent").contains(collective) ? costs.at("sent").at(collective).at("bytes").get<Index>() : 0;
}

/// Bytes of the last block, which with stage 3 the evaluation after step 10 leaves for the step after it.
Index left_by_evaluation(Index ranks, Index zero) {
  return zero == 3 ? 4 * block_parameters * (ranks - 1) : 0;
}

/// Bytes that all ranks together send in twenty steps: the gradient is added over all ranks, or scattered and
/// the parameters gathered, each 2 (N - 1) values for each element; so are the loss, the norm, and three
/// numbers.
/// With stage 3, blocks are gathered in each forward and backward pass of a micro-batch, the last one once.
void check_least(const nlohmann::json& costs, Index ranks, Index zero, Index micro_batches) {
  const Index model = 4 * gopher::parameters(size).full() * (ranks - 1) * 20;
  const Index numbers = 2 * 8 * (zero > 0 ? 5 : 4) * (ranks - 1) * 20;
  CHECK(costs.at("steps") == 20);
  CHECK(sent(costs, "all_reduce") == (zero == 0 ? 2 * model : 0) + numbers);
  CHECK(sent(costs, "reduce_scatter") == (zero == 0 ? 0 : zero == 1 ? model : micro_batches * model));
  const Index blocks = 4 * 2 * block_parameters * (ranks - 1) * 20, block = blocks / 2;
  CHECK(sent(costs, "all_gather") ==
        (zero == 0  ? 0
         : zero < 3 ? model
                    : micro_batches * (blocks + block) + model - blocks - left_by_evaluation(ranks, zero)));
}

}  // namespace

TEST_CASE("a run on several ranks learns what a run of one process learns") {
  const Place place;
  place.train(0, "single", "");
  const auto losses = place.numbers("single", "step", "loss");
  REQUIRE(losses.size() == 20);
  CHECK(losses.back() < 0.9 * losses.front());
  for (const int ranks : {2, 4})
    for (const int zero : {0, 1, 2, 3}) {
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
    }
  CHECK(place.numbers("run40", "step", "loss") == place.numbers("run41", "step", "loss"));
}

namespace {

/// Runs on so many ranks, each against the run "single" of one process that has the same `settings`.
void check_divided(const Place& place, const std::string& settings,
                   const std::vector<std::pair<int, std::string>>& layouts) {
  place.train(0, "single", settings);
  int number = 0;
  for (const auto& [ranks, mesh] : layouts) {
    CAPTURE(mesh);
    const std::string run = "run" + std::to_string(++number);
    const std::string text = place.train(ranks, run, settings + " --mesh " + mesh);
    for (const char* once : {"20/20", "--- sample 1 ---", "held-out text after step 20"})
      CHECK(text.find(once) == text.rfind(once));
    check_close(place.numbers(run, "step", "loss"), place.numbers("single", "step", "loss"), 1e-5);
    check_close(place.numbers(run, "step", "gradient_norm"), place.numbers("single", "step", "gradient_norm"),
                1e-4);
    check_close(place.numbers(run, "evaluation", "loss"), place.numbers("single", "evaluation", "loss"),
                1e-5);
    check_close(place.numbers(run, "evaluation", "bits_per_byte"),
                place.numbers("single", "evaluation", "bits_per_byte"), 1e-5);
  }
}

}  // namespace

TEST_CASE("a run whose model is divided among ranks learns what a run of one process learns") {
  check_divided(Place{}, "",
                {{2, "tensor=2 --zero 1"},
                 {2, "pipeline=2 --zero 1"},
                 {4, "data=2,tensor=2 --zero 1"},
                 {4, "data=2,pipeline=2 --zero 2"},
                 {4, "pipeline=2,tensor=2 --zero 0 --rematerialize block"},
                 {4, "data=2,tensor=2 --zero 3"},
                 {4, "data=2,pipeline=2 --zero 3"}});
}

TEST_CASE("a run with interleaved stages or divided rows learns what a run of one process learns") {
  check_divided(Place{}, "--layers 5",
                {{2, "pipeline=2 --chunks 2"},
                 {2, "tensor=2 --sequence-parallel"},
                 {4, "data=2,tensor=2 --sequence-parallel --rematerialize none --zero 3"},
                 {4, "data=2,pipeline=2 --chunks 2 --zero 3"},
                 {4, "pipeline=2,tensor=2 --chunks 2 --sequence-parallel --rematerialize block"}});
}

TEST_CASE("runs in bf16 whose model is divided among ranks learn about what one process learns") {
  const Place place;
  for (const std::string precision : {"mixed-bf16", "bf16-master", "bf16-stochastic"}) {
    CAPTURE(precision);
    place.train(0, "single-" + precision, "--precision " + precision);
    place.train(4, "divided-" + precision, "--mesh pipeline=2,tensor=2 --precision " + precision);
    check_close(place.numbers("divided-" + precision, "step", "loss"),
                place.numbers("single-" + precision, "step", "loss"), 2e-2);
  }
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
  refused(4, "--mesh tensor=4", "mesh tensor=4: 2 heads are not enough for 4 tensor ranks.");
  refused(3, "--mesh pipeline=3", "mesh pipeline=3: 2 layers are not enough for 3 stages.");
  refused(2, "--mesh pipeline=2 --chunks 2", "mesh pipeline=2: 2 layers are not enough for 4 stages.");
  refused(
      2, "--mesh pipeline=2 --chunks 2 --layers 4 --batch-tokens 96",
      "mesh pipeline=2: with chunks above 1 its stages take micro-batches in rounds, so the sequences of a "
      "step on each data rank must be a multiple of micro_batch x pipeline ranks = 4, not 6.");
  refused(
      2, "--mesh tensor=2 --sequence-parallel --context 15 --batch-tokens 240",
      "mesh tensor=2: with sequence_parallel its tensor ranks divide the context, so 15 must be a multiple "
      "of 2.");
  refused(2, "--mesh tensor=2 --device cuda",
          "mesh tensor=2: on the device cuda ranks divide the batch, not the model: take --mesh data=2, or "
          "--device cpu.");
  refused(
      2, "--zero 3 --device cuda",
      "zero = 3: on the device cuda ranks divide gradients and the optimizer's state at most: take --zero 0, "
      "1 or 2, or --device cpu.");
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
