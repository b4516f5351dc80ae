// A small Gopher whose stages lie on several ranks, alone and with data and tensor parallelism, against one
// rank.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/data_parallel.hpp>
#include <burrow/distributed/pipeline.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/io/sliced_tensors.hpp>
#include <burrow/nn/dropout.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/sgd.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/slicing.hpp>
#include <catch2/catch.hpp>
#include <map>

#include "tests/mpi/gopher_training.hpp"
#include "tests/mpi/world.hpp"

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

/// A block that drops, whose products may be shared.
template <class Up, class Down>
struct DroppingBlock {
  LayerNorm<8, Float64<Cpu>> norm;
  Up up;
  Down down;
  Dropout dropout;

  auto operator()(const auto& x, Key key) const {
    return x + dropout(down(tanh(up(dropout(norm(x), key)))), key.fold_in(1));
  }
};

/// Four of them in stages, between a map of the inputs and a sum of squares.
template <class Up, class Down>
struct DroppingStages {
  using hidden_type = Tensor<double, Shape<dyn, dyn, 8>>;
  using Block = DroppingBlock<Up, Down>;
  std::optional<Linear<8, 8, Float64<Cpu>>> first;
  StageBlocks<Block> blocks;

  static DroppingStages of(int rank, int ranks, int chunks, Rematerialization choice) {
    std::vector<Block> all;
    for (int i = 0; i < 4; ++i)
      all.push_back(
          {LayerNorm<8, Float64<Cpu>>::sized(8), Up::sized(8, 12), Down::sized(12, 8), Dropout{0.3}});
    DroppingStages stages{{}, StageBlocks<Block>::of(all, rank, ranks, chunks, choice)};
    if (rank == 0) stages.first.emplace();
    return stages;
  }
  auto enter(const auto& x) const { return (*first)(x); }
  template <class H>
  H pass(int chunk, const H& h, const auto& batch) const {
    return blocks(chunk, h, batch.key);
  }
  auto loss(const auto& h, const auto& targets) const {
    auto total = materialize(sum(square(h - targets)));
    struct Loss {
      decltype(total) sum;
    };
    return Loss{total};
  }
  auto hidden_shape(const auto& x) const { return Shape<dyn, dyn, 8>{x.shape().values()}; }
  void for_each_tied(const auto&) const {}
};
using WholeDropping = DroppingStages<Linear<8, 12, Float64<Cpu>>, Linear<12, 8, Float64<Cpu>>>;
using DividedDropping = DroppingStages<ColumnParallelLinear<8, distributed::World, Float64<Cpu>>,
                                       RowParallelLinear<8, distributed::World, Float64<Cpu>>>;

/// How the stages are trained.
struct Dropping {
  int chunks = 1, stage = 0;
  SequenceRows rows = SequenceRows::whole;
  Rematerialization rematerialize = Rematerialization::none();
};

/// Losses and norms of three steps of twelve micro-batches, each of which draws by its number in the step.
template <class Stages, class C>
std::vector<double> train_dropping(const Mesh<C>& mesh, const Dropping& how) {
  constexpr Index all = 12, length = 12, steps = 3;
  const auto& ranks = mesh.pipeline();
  auto model = build(
      parted(Stages::of(ranks.rank(), ranks.size(), how.chunks, how.rematerialize), mesh.tensor(), how.rows),
      Key{3});
  auto optimizer = Sharded{Sgd{model, {.learning_rate = 1e-3}}, mesh, {how.stage, 50}};
  const Index own = all / mesh.data().size();
  const Pipeline pipeline{ranks, pipeline_schedule(ranks.size(), how.chunks, own)};
  const bool divided = how.rows == SequenceRows::divided;
  const Index rows = divided ? length / mesh.tensor().size() : length;
  const Index first_row = divided ? rows * mesh.tensor().rank() : 0;
  std::vector<double> found;
  for (Index step = 0; step < steps; ++step) {
    struct Drawn {
      Tensor<double, Shape<dyn, dyn, 8>> inputs, targets;
      Key key;
    };
    const auto micro = [&](Index m) {
      const Key key = Key{9}.fold_in(static_cast<std::uint64_t>(step * all + own * mesh.data().rank() + m));
      const Shape<dyn, dyn, 8> shape{{2, length, 8}};
      const auto part = [&](Key of) {
        return materialize(slice<1>(normal<Shape<dyn, dyn, 8>, double>(of, shape), first_row, rows));
      };
      return Drawn{part(key.fold_in(1)), part(key.fold_in(2)), key.fold_in(3)};
    };
    const double loss = optimizer.accumulate_last_with(model, [&](auto& gradient, auto* listener) {
      return pipeline.accumulate(model, gradient, micro, 0.01f, listener);
    });
    const auto reduced = optimizer.reduce();
    found.push_back(mesh.data().all_reduce(divided ? mesh.tensor().all_reduce(loss) : loss));
    found.push_back(optimizer.norm(reduced));
    optimizer.step(model, reduced);
  }
  return found;
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

TEST_CASE("what one rank drops is dropped on any mesh, and again where blocks are computed again", "[mpi]") {
  const auto one = train_dropping<WholeDropping>(Mesh{SelfCommunicator{}, {}}, {});
  const int n = world().size();
  const auto check_ways = [&](const auto& train, const auto& mesh, Dropping how) {
    std::vector<double> first;
    for (const auto choice : {Rematerialization::none(), Rematerialization::selective(),
                              Rematerialization::block(), Rematerialization::every(2)}) {
      how.rematerialize = choice;
      INFO(mesh.place() << ", stages of a rank " << how.chunks << ", ZeRO " << how.stage << ", "
                        << how.rematerialize.text());
      const auto found = train(mesh, how);
      for (std::size_t i = 0; i < one.size(); ++i) CHECK(found[i] == Approx(one[i]).epsilon(1e-10));
      if (first.empty()) first = found;
      CHECK(found == first);
    }
  };
  for (int pipeline = 1; pipeline <= n; ++pipeline)
    for (int tensor = 1; tensor <= n / pipeline; ++tensor) {
      if (n % (pipeline * tensor) != 0) continue;
      const Mesh mesh{world(), {n / pipeline / tensor, pipeline, tensor}};
      for (Dropping how : {Dropping{}, Dropping{.stage = 3}, Dropping{.chunks = 2, .stage = 1}}) {
        if (how.chunks > 1 && (pipeline == 1 || pipeline > 2)) continue;
        if (tensor == 1) {
          check_ways([](const auto& m, const auto& w) { return train_dropping<WholeDropping>(m, w); }, mesh,
                     how);
          continue;
        }
        for (const auto rows : {SequenceRows::whole, SequenceRows::divided}) {
          how.rows = rows;
          check_ways([](const auto& m, const auto& w) { return train_dropping<DividedDropping>(m, w); }, mesh,
                     how);
        }
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

TEST_CASE("a pipeline adds to what a gradient has, also of what is tied", "[mpi]") {
  const int n = world().size();
  const Mesh mesh{world(), {.pipeline = n}};
  const Settings settings{.micro_batches = 2};
  const auto model = make_stages<Whole>(mesh, settings);
  const Pipeline pipeline{mesh.pipeline(), schedule_for(n, settings)};
  const auto micro = [](Index m) { return Batch{tokens(0, m, m + 1, false), tokens(0, m, m + 1, true)}; };
  Gradient once{model}, twice{model};
  for (auto* const gradient : {&once, &twice, &twice}) pipeline.accumulate(model, *gradient, micro, 0.01f);
  float difference = 0, largest = 0;
  for (std::size_t i = 0; i < once.values().size(); ++i) {
    difference = std::max(difference, std::abs(twice.values()[i] - 2 * once.values()[i]));
    largest = std::max(largest, std::abs(once.values()[i]));
  }
  CHECK(largest > 0);
  CHECK(difference <= 1e-5f * largest);
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
    CHECK(found == (mesh.pipeline().rank() == n - 1 ? count : 0));
  }
}

TEST_CASE("pipelines that do not fit are refused", "[mpi]") {
  CHECK_THROWS_WITH((Pipeline{SelfCommunicator{}, one_forward_one_backward(2, 4)}),
                    Catch::StartsWith("pipeline: the schedule is for 2 ranks, not 1 ["));
  CHECK_THROWS_WITH((gopher::GopherStages<gopher::run_time_size, Whole>::of(
                        gopher::RunTimeGopher<Whole>::make(size), 0, 5)),
                    "pipeline: 4 blocks are not enough for 5 stages");
}
