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

#include "gopher_model/model/stages.hpp"
#include "small_gopher.hpp"
#include "world.hpp"

using namespace small_gopher;
using mpi_test::world;

namespace {

constexpr Index steps = 20, micro_batches = 4;

struct Batch {
  Tokens inputs, targets;
};

/// What one rank finds, without a pipeline: losses and norms of the steps.
const std::vector<double>& single() {
  static const auto run = [] {
    auto model = build(gopher::RunTimeGopher<Whole>::make(size), Key{1});
    Adam optimizer{model, {.learning_rate = 3e-3}};
    std::vector<double> all;
    for (Index step = 0; step < steps; ++step) {
      const auto in = tokens(step, 0, batch, false), out = tokens(step, 0, batch, true);
      auto [loss, gradient] = value_and_grad(model, [&](Tape& t) {
        const auto result = model.loss(t.watch(in), out);
        return result.sum * (1.0f / static_cast<float>(result.count));
      });
      const double norm = global_norm(std::span<const float>{gradient.values()});
      optimizer.step(model, gradient, {.gradient_factor = clip_factor(norm, 0.7)});
      all.push_back(static_cast<double>(loss));
      all.push_back(norm);
    }
    return all;
  }();
  return run;
}

struct Settings {
  int stage = 1, chunks = 1;
  bool rematerialize = false;
};

PipelineSchedule schedule_for(int ranks, int chunks) {
  return chunks == 1 ? one_forward_one_backward(ranks, micro_batches)
                     : interleaved(ranks, chunks, micro_batches);
}

template <class Policy, class C>
auto make_stages(const Mesh<C>& mesh, const Settings& settings) {
  auto whole = gopher::RunTimeGopher<Policy>::make(size);
  if (settings.rematerialize) whole.blocks.rematerialize = Rematerialization::every(2);
  const auto& ranks = mesh.pipeline();
  return build(parted(gopher::GopherStages<gopher::run_time_size, Policy>::of(std::move(whole), ranks.rank(),
                                                                              ranks.size(), settings.chunks),
                      mesh.tensor()),
               Key{1});
}

struct Result {
  std::vector<double> losses_and_norms;
  double tied_difference = 0;  // between the copies of the embedding
  Index pipeline_bytes = 0;    // of one step, by all ranks of the pipeline, from point to point
};

template <class Policy>
Result train(const Mesh<distributed::World>& mesh, const Settings& settings) {
  auto model = make_stages<Policy>(mesh, settings);
  const Pipeline pipeline{mesh.pipeline(), schedule_for(mesh.pipeline().size(), settings.chunks)};
  auto optimizer = Sharded{Adam{model, {.learning_rate = 3e-3}}, mesh, {settings.stage, 1000}};
  using Model = decltype(model);
  const Partition rows{batch, mesh.data().size()};
  const Index first = rows.begin(mesh.data().rank()), own = rows.size(mesh.data().rank());
  Result result;
  for (Index step = 0; step < steps; ++step) {
    LossSum terms;
    for (const auto target : tokens(step, 0, batch, true).values()) terms.count += target >= 0;
    const float share = 1.0f / static_cast<float>(terms.count);
    const auto micro = [&](Index m) {
      const Index from = first + own * m / micro_batches, to = first + own * (m + 1) / micro_batches;
      return Batch{tokens(step, from, to, false), tokens(step, from, to, true)};
    };
    mesh.pipeline().reset_traffic();
    const double loss = optimizer.accumulate_with(
        model, [&](Gradient<Model>& gradient) { return pipeline.accumulate(model, gradient, micro, share); });
    result.pipeline_bytes =
        mesh.pipeline().all_reduce(mesh.pipeline().traffic()[Collective::point_to_point].bytes);
    const auto reduced = optimizer.reduce();
    const double norm = optimizer.norm(reduced);
    optimizer.step(model, reduced, {.gradient_factor = clip_factor(norm, 0.7)});
    result.losses_and_norms.push_back(mesh.data().all_reduce(loss));
    result.losses_and_norms.push_back(norm);
  }
  double sum = 0;
  if (model.embedding)
    for (const float x : model.embedding->table.values()) sum += static_cast<double>(x) * x;
  const double none = 1e300;
  result.tied_difference = mesh.pipeline().all_reduce(model.embedding ? sum : -none, Reduction::max) -
                           mesh.pipeline().all_reduce(model.embedding ? sum : none, Reduction::min);
  return result;
}

void check(const Result& result) {
  for (std::size_t i = 0; i < single().size(); ++i)
    CHECK(result.losses_and_norms[i] == Approx(single()[i]).epsilon(1e-5));
  CHECK(result.tied_difference == 0);
}

}  // namespace

TEST_CASE("a small Gopher in stages learns as a whole one", "[mpi]") {
  const int n = world().size();
  for (int pipeline = 1; pipeline <= n; ++pipeline)
    for (int tensor = 1; tensor <= n / pipeline; ++tensor) {
      if (n % (pipeline * tensor) != 0) continue;
      const Mesh mesh{world(), {n / pipeline / tensor, pipeline, tensor}};
      for (const Settings settings : {Settings{0, 1, false}, Settings{1, 1, true}, Settings{2, 1, false},
                                      Settings{1, 2, false}, Settings{2, 2, true}, Settings{3, 1, true}}) {
        if (pipeline * settings.chunks > size.layers) continue;
        if (settings.chunks > 1 && micro_batches % pipeline != 0) continue;
        INFO(mesh.place() << ", stage " << settings.stage << ", stages of a rank " << settings.chunks
                          << ", rematerialised: " << settings.rematerialize);
        check(tensor == 1 ? train<Whole>(mesh, settings) : train<Divided>(mesh, settings));
      }
    }
}

TEST_CASE("stages send hidden values forward and their gradients back, and nothing else", "[mpi]") {
  const int n = world().size();
  const Mesh mesh{world(), {.pipeline = n}};
  const Index hidden = batch * context * size.width * Index{sizeof(float)};
  CHECK(train<Whole>(mesh, {}).pipeline_bytes == 2 * (n - 1) * hidden);
  if (2 * n <= size.layers && n > 1)
    CHECK(train<Whole>(mesh, {.chunks = 2}).pipeline_bytes == 2 * (2 * n - 1) * hidden);
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
    const Pipeline pipeline{mesh.pipeline(), schedule_for(n, chunks)};
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
                    "pipeline: the schedule is for 2 ranks, not 1");
  CHECK_THROWS_WITH((gopher::GopherStages<gopher::run_time_size, Whole>::of(
                        gopher::RunTimeGopher<Whole>::make(size), 0, 5)),
                    "pipeline: 4 blocks are not enough for 5 stages");
}
