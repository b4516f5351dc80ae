// Plans: parts of a model add up to the whole, the 280B run's known figures come out, and the best plans are
// those that fit. What a run measures is compared with its plan in tests/mpi/program.
#include "gopher_model/training/plan.hpp"

#include <catch2/catch.hpp>

#include "gopher_model/model/accounting.hpp"

namespace gopher::plan_test {
namespace {

using burrow::MeshShape;
using burrow::Rematerialization;
using Catch::Contains;

RunConfiguration configuration_of(std::string_view name) {
  RunConfiguration c;
  apply_preset(c, preset(name));
  return c;
}

const Machine& h100 = machine_called("h100");

TEST_CASE("the parameters of all ranks are those of the model, and what several of them hold") {
  for (const Preset& named : presets)
    for (const int stages : {1, 2, 3})
      for (const int ranks : {1, 2, 3}) {
        const auto c = configuration_of(named.name);
        const ModelSize& size = c.size;
        Index sum = 0;
        const Layout layout{{.pipeline = stages, .tensor = ranks}};
        for (int stage = 0; stage < stages; ++stage)
          for (int t = 0; t < ranks; ++t) sum += rank_parameters(c, layout, stage, t).all();
        // Norm gains and the biases of what ranks add up are on all tensor ranks, the table on two stages.
        const Index replicated = (size.layers * 4 + 1) * size.width * (ranks - 1);
        const Index table = stages > 1 ? size.vocabulary * size.width : 0;
        CHECK(sum == parameters(size).full() + replicated + table);
      }
}

TEST_CASE("ZeRO divides what it says among data ranks") {
  const auto c = configuration_of("417M");
  const auto memory = [&](int data, int zero) { return plan(c, {{.data = data}, zero, 1, {}}, h100).memory; };
  const MemoryPlan one = memory(1, 1), all = memory(8, 0), state = memory(8, 1), gradients = memory(8, 2);
  CHECK(one.moments == 8 * parameters(c.size).full());
  CHECK(all.total() == one.total());
  CHECK(static_cast<double>(state.moments) == Approx(static_cast<double>(one.moments) / 8).epsilon(1e-6));
  CHECK(state.gradients == one.gradients);
  CHECK(static_cast<double>(gradients.gradients) ==
        Approx(static_cast<double>(one.gradients) / 8).epsilon(1e-6));
  CHECK(gradients.fresh_gradients == one.gradients);
  const MemoryPlan blocks = memory(8, 3);  // what is outside of blocks stays whole
  const Index bytes = one.parameters / parameters(c.size).full();
  const Index outside = bytes * (c.size.vocabulary * c.size.width + c.size.vocabulary + c.size.width);
  CHECK(static_cast<double>(blocks.parameters - outside) ==
        Approx(static_cast<double>(one.parameters - outside) / 8).epsilon(1e-6));
  CHECK(blocks.gathered == (one.parameters - outside) / c.size.layers * 2 * 7 / 8);
  CHECK(static_cast<double>(blocks.moments) == Approx(static_cast<double>(state.moments)).epsilon(1e-6));
}

TEST_CASE("the copy that checkpoints are written from is each rank's share, in the host's memory") {
  auto c = configuration_of("417M");
  c.precision = Precision::bf16_master;
  const Index count = parameters(c.size).full();
  const auto copy = [&](int data, int zero) {
    return plan(c, {{.data = data}, zero, 1, {}}, h100).memory.checkpoint_copy;
  };
  CHECK(copy(1, 1) == (2 + 4 + 8) * count);
  for (const int zero : {0, 1, 2})
    CHECK(static_cast<double>(copy(8, zero)) == Approx(14.0 / 8 * static_cast<double>(count)).epsilon(1e-6));

  Machine device = h100, host = h100;
  const Plan one = plan(c, {{.data = 1}, 1, 1, {}}, device);
  host.host = true;
  device.memory = host.memory = one.memory.total() + 1;
  CHECK(one.fits(device));
  CHECK_FALSE(one.fits(host));
  c.asynchronous_checkpoints = false;
  CHECK(copy(8, 1) == 0);
  CHECK(plan(c, {{.data = 1}, 1, 1, {}}, host).fits(host));
}

TEST_CASE("a plan of the 280B run has its known figures") {
  const auto c = configuration_of("280B");
  const Machine& chip = machine_called("tpu-v3");
  const Plan alone = plan(c, {{.data = 1536}, 1, 1, Rematerialization::block()}, chip);
  CHECK(alone.state == 10 * parameters(c.size).full());
  CHECK(static_cast<double>(alone.state) / (1ull << 40) ==
        Approx(2.544).epsilon(1e-3));  // the paper: 2.5 TiB
  CHECK_FALSE(alone.fits(chip));       // so models must be divided, as the paper's was

  // 4096 chips, model and data parallelism within pods of 1024, stages across four of them.
  auto run = c;
  run.batch_tokens = 2 * c.batch_tokens;
  const Plan pods =
      plan(run, {{.data = 32, .pipeline = 4, .tensor = 32}, 1, 1, Rematerialization::block()}, chip);
  CHECK(pods.layout.mesh.ranks() == 4096);
  CHECK(pods.fits(chip));
  CHECK(pods.bubble > 3.0 / (96 + 3));  // the stage with the last product takes a little longer
  CHECK(pods.bubble < 3.0 / (96 + 3) + 0.01);
  // 300e9 tokens took 920 h, 90,580 tokens a second: at that rate the accounting with rematerialisation gives
  // 46.5 TFLOP/s of a chip.
  const double rate = static_cast<double>(c.tokens) / (920 * 3600);
  CHECK(rate == Approx(90580).epsilon(1e-3));
  CHECK(rate * flops_per_token(c.size, Passes::rematerialized) / 4096 == Approx(46.5e12).epsilon(2e-3));
}

TEST_CASE("the best plans fit, come in order, and none other is faster") {
  const auto c = configuration_of("280B");
  const auto best = best_plans(c, 1024, h100, 3);
  REQUIRE(best.size() == 3);
  for (std::size_t i = 0; i < best.size(); ++i) {
    CHECK(best[i].fits(h100));
    CHECK(best[i].layout.mesh.ranks() == 1024);
    CHECK(best[i].utilisation > 0.1);
    CHECK(best[i].utilisation < h100.efficiency);
    if (i > 0) CHECK(best[i - 1].step() <= best[i].step());
  }
  CHECK(best_plans(c, 4, h100, 3).empty());
  CHECK(best_plans(configuration_of("44M"), 8, h100, 1).front().layout.mesh == MeshShape{.data = 8});
}

TEST_CASE("a mesh that the run does not divide among is refused") {
  const auto c = configuration_of("44M");
  const auto refused = [&](const MeshShape& mesh, const char* why) {
    CHECK_THROWS_WITH(plan(c, {mesh, 1, 1, {}}, h100), Contains(why));
  };
  refused({.data = 7},
          "batch_tokens must be a multiple of context x data ranks = 2048 x 7 = 14336, such as 272384, not "
          "262144");
  refused({.pipeline = 9}, "8 layers are not enough for 9 stages");
  refused({.tensor = 32}, "16 heads are not enough for 32 tensor ranks");
  CHECK_THROWS_WITH(machine_called("h10"), Contains("there is no machine h10, only tpu-v3, a100"));
}

}  // namespace
}  // namespace gopher::plan_test
