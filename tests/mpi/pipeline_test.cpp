// A small Gopher whose stages lie on several ranks, alone and with data and tensor parallelism, against one
// rank.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/data_parallel.hpp>
#include <burrow/distributed/pipeline.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/io/sliced_tensors.hpp>
#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>
#include <map>

#include "gopher_training.hpp"
#include "world.hpp"

using namespace small_gopher;
using mpi_test::world;

namespace {

/// What one rank finds, without a pipeline.
const Result& single() {
  static const Result run = train_alone({.micro_batches = 1});
  return run;
}

void check(const Result& result) {
  for (std::size_t i = 0; i < single().losses.size(); ++i) {
    CHECK(result.losses[i] == Approx(single().losses[i]).epsilon(1e-5));
    CHECK(result.norms[i] == Approx(single().norms[i]).epsilon(1e-5));
  }
  CHECK(result.tied_difference == 0);
}

}  // namespace

TEST_CASE("a small Gopher in stages learns as a whole one", "[mpi]") {
  const int n = world().size();
  for (int pipeline = 1; pipeline <= n; ++pipeline)
    for (int tensor = 1; tensor <= n / pipeline; ++tensor) {
      if (n % (pipeline * tensor) != 0) continue;
      const Mesh mesh{world(), {n / pipeline / tensor, pipeline, tensor}};
      for (const Settings& settings :
           {Settings{.stage = 0}, Settings{.stage = 1, .rematerialize = true}, Settings{.stage = 2},
            Settings{.stage = 1, .chunks = 2}, Settings{.stage = 2, .chunks = 2, .rematerialize = true},
            Settings{.stage = 3, .rematerialize = true}}) {
        if (pipeline * settings.chunks > size.layers) continue;
        INFO(mesh.place() << ", stage " << settings.stage << ", stages of a rank " << settings.chunks
                          << ", rematerialised: " << settings.rematerialize);
        Settings all = settings;
        all.micro_batches = 4;
        if (all.chunks > 1 && all.micro_batches % pipeline != 0) continue;
        check(tensor == 1 ? train_stages<Whole>(mesh, all) : train_stages<Divided>(mesh, all));
      }
    }
}

TEST_CASE("a stage's gradient is on its way before the pipeline has ended, but for what is tied", "[mpi]") {
  const int n = world().size();
  if (n != 2 && n != 4) return;
  const Mesh mesh{world(), {.data = 2, .pipeline = n / 2}};
  const Settings settings{.micro_batches = 2, .steps = 1};
  auto model = make_stages<Whole>(mesh, settings);
  const Pipeline pipeline{mesh.pipeline(), schedule_for(n / 2, settings)};
  Sharded optimizer{Adam{model}, mesh, {.stage = 0, .bucket_elements = 100}};
  const auto calls = [&] { return mesh.data().traffic()[Collective::all_reduce].calls; };
  const Index before = calls();
  Index late = 0;
  const auto micro = [&](Index m) { return Batch{tokens(0, m, m + 1, false), tokens(0, m, m + 1, true)}; };
  optimizer.accumulate_last_with(model, [&](auto& gradient, auto* listener) {
    const double loss = pipeline.accumulate(model, gradient, micro, 0.01f, listener);
    late = calls();
    return loss;
  });
  const Index all = calls() - before, early = late - before;
  const Index table = model.embedding && n == 4 ? (model.embedding->table.size() + 99) / 100 : 0;
  CHECK(all == (count_parameters(model) + 99) / 100);
  CHECK(early == all - table);
  (void)optimizer.reduce();
}

TEST_CASE("stages send hidden values forward and their gradients back, and nothing else", "[mpi]") {
  const int n = world().size();
  const Mesh mesh{world(), {.pipeline = n}};
  const Index hidden = batch * context * size.width * Index{sizeof(float)};
  const auto sent = [&](int chunks) {
    const Settings settings{.micro_batches = 4, .chunks = chunks, .steps = 1};
    return world().all_reduce(
        train_stages<Whole>(mesh, settings).sent.pipeline[Collective::point_to_point].bytes);
  };
  CHECK(sent(1) == 2 * (n - 1) * hidden);
  if (2 * n <= size.layers && n > 1) CHECK(sent(2) == 2 * (2 * n - 1) * hidden);
}

TEST_CASE("what ranks have of a Gopher are slices of the whole one, and together all of it", "[mpi]") {
  const int n = world().size();
  const auto whole = build(gopher::RunTimeGopher<Whole>::make(size), Key{1});
  std::map<std::string, std::span<const float>> wholes;
  for_each_parameter(whole, [&](const std::string& name, const auto& p) { wholes[name] = p.values(); });
  for (int pipeline = 1; pipeline <= n; ++pipeline) {
    if (n % pipeline != 0) continue;
    const Mesh mesh{world(), {1, pipeline, n / pipeline}};
    INFO(mesh.place());
    const auto stages = make_stages<Divided>(mesh, {});
    const std::span<const float> own = parameters(stages).values();
    std::vector<float> expected;
    Index counted = 0;
    for (const ParameterSlice& slice : parameter_slices(stages)) {
      if (slice.counted) counted += slice.size();
      const auto values = wholes.at(slice.name);
      const Index columns = slice.shape.back(), rows = slice.shape.size() == 2 ? slice.extents[0] : 1;
      for (Index row = 0; row < rows; ++row) {
        const Index from =
            (slice.shape.size() == 2 ? slice.begin[0] + row : 0) * columns + slice.begin.back();
        const auto cut =
            values.subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(slice.extents.back()));
        expected.insert(expected.end(), cut.begin(), cut.end());
      }
    }
    CHECK(std::ranges::equal(own, expected));
    CHECK(world().all_reduce(counted) == count_parameters(whole));
  }
}

TEST_CASE("batches go through stages without a trace, and the last rank has their losses", "[mpi]") {
  const int n = world().size();
  const auto whole = build(gopher::RunTimeGopher<Whole>::make(size), Key{1});
  const Mesh mesh{world(), {.pipeline = n}};
  constexpr Index count = 7;
  const auto batch_of = [](Index m) {  // of one to three sequences
    return Batch{tokens(m, 0, 1 + m % 3, false), tokens(m, 0, 1 + m % 3, true)};
  };
  for (const int chunks : {1, 2}) {
    if (n * chunks > size.layers) continue;
    const auto model = make_stages<Whole>(mesh, {.chunks = chunks});
    const Pipeline pipeline{mesh.pipeline(), schedule_for(n, {.micro_batches = 4, .chunks = chunks})};
    Index found = 0;
    pipeline.forward(model, count, batch_of, [&](const Batch& one, const auto& loss) {
      const auto expected = whole.loss(one.inputs, one.targets);
      CHECK(loss.sum.item() == expected.sum.item());
      CHECK(loss.count == expected.count);
      ++found;
    });
    CHECK(found == (world().rank() == n - 1 ? count : 0));
  }
}

TEST_CASE("pipelines that do not fit are refused", "[mpi]") {
  CHECK_THROWS_WITH((Pipeline{SelfCommunicator{}, one_forward_one_backward(2, 4)}),
                    Catch::StartsWith("pipeline: the schedule is for 2 ranks, not 1 ["));
  CHECK_THROWS_WITH((gopher::GopherStages<gopher::run_time_size, Whole>::of(
                        gopher::RunTimeGopher<Whole>::make(size), 0, 5)),
                    "pipeline: 4 blocks are not enough for 5 stages");
}
