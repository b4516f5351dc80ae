// Tensor parallelism whose ranks have some of the rows between products: the same losses and gradients, the
// same bytes, less memory.
#include <algorithm>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/core/memory.hpp>
#include <burrow/distributed/data_parallel.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/nn/dropout.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/slicing.hpp>
#include <catch2/catch.hpp>
#include <vector>

#include "gopher_model/model/stages.hpp"
#include "tests/mpi/small_gopher.hpp"
#include "tests/mpi/world.hpp"

using namespace small_gopher;
using Catch::Matchers::Contains;
using mpi_test::world;

namespace {

constexpr Index length = 12;  // of sequences: 2, 3 and 4 ranks have parts
constexpr Index micro_batches = 4;

using Ranks = distributed::World;

/// Calls f(mesh) for every mesh that has more than one tensor rank, with a pipeline or with data ranks.
template <class F>
void for_each_tensor_mesh(const F& f, bool pipeline = false) {
  const int n = world().size();
  for (int tensor = 2; tensor <= n; ++tensor)
    if (n % tensor == 0)
      f(Mesh{world(), pipeline ? MeshShape{1, n / tensor, tensor} : MeshShape{n / tensor, 1, tensor}});
}

/// Sequences [begin, end) of a step; every fifth target is not counted.
Tokens sequences(Index step, Index begin, Index end, bool targets, Index tokens_of_each = length) {
  Tokens t{Shape<dyn, dyn>{{end - begin, tokens_of_each}}};
  for (Index i = 0; i < t.size(); ++i) {
    const Index at = begin * tokens_of_each + i;
    const float u =
        Key{77}.fold_in(static_cast<std::uint64_t>(step)).uniform(static_cast<std::uint64_t>(at + targets));
    t.data()[i] = targets && at % 5 == 0 ? -1 : static_cast<std::int32_t>(u * u * float(vocabulary));
  }
  return t;
}

/// The beginning of one sequence.
Tensor<std::int32_t, Shape<1, dyn>> prompt(Index count) {
  Tensor<std::int32_t, Shape<1, dyn>> t{Shape<1, dyn>{{1, count}}};
  for (Index i = 0; i < count; ++i) t.data()[i] = static_cast<std::int32_t>(i % vocabulary);
  return t;
}

struct Batch {
  Tokens inputs, targets;
};

/// How a model is trained.
struct Way {
  int stage = 1;
  bool rematerialize = false;
  SequenceRows rows = SequenceRows::divided;
  Gathered gathered = Gathered::kept;
};

template <class Policy>
auto prototype(const Way& way) {
  auto model = gopher::RunTimeGopher<Policy>::make(size);
  if (way.rematerialize) model.blocks.rematerialize = Rematerialization::block();
  return model;
}

/// This rank's part of the model.
template <class Policy, class C>
auto make_model(const C& ranks, const Way& way) {
  return build(parted(prototype<Policy>(way), ranks, way.rows, way.gathered), Key{1});
}

/// 20 steps with clipping on a mesh: losses and the gradients' norms. accumulate(optimizer, micro, share)
/// adds the gradient of the micro-batches micro(m) and returns this rank's part of the loss.
template <class Model, class C, class Accumulate>
std::vector<double> train(Model& model, const Mesh<C>& mesh, int stage, const Accumulate& accumulate) {
  auto optimizer = Sharded{Adam{model, {.learning_rate = 3e-3}}, mesh, {stage, 1000}};
  const Partition rows{batch, mesh.data().size()};
  const Index first = rows.begin(mesh.data().rank()), own = rows.size(mesh.data().rank());
  std::vector<double> all;
  for (Index step = 0; step < 20; ++step) {
    const auto micro = [&](Index m) {
      const Index from = first + own * m / micro_batches, to = first + own * (m + 1) / micro_batches;
      return Batch{sequences(step, from, to, false), sequences(step, from, to, true)};
    };
    const auto targets = sequences(step, 0, batch, true);
    const auto counted = std::ranges::count_if(targets.values(), [](std::int32_t t) { return t >= 0; });
    const double loss = accumulate(optimizer, micro, 1.0f / static_cast<float>(counted));
    const auto reduced = optimizer.reduce();
    const double norm = optimizer.norm(reduced);
    optimizer.step(model, reduced, {.gradient_factor = clip_factor(norm, 0.7)});
    all.push_back(mesh.data().all_reduce(loss));
    all.push_back(norm);
  }
  return all;
}

template <class Policy, class C>
std::vector<double> train_whole(const Mesh<C>& mesh, const Way& way) {
  auto model = make_model<Policy>(mesh.tensor(), way);
  return train(model, mesh, way.stage, [&](auto& optimizer, const auto& micro, float share) {
    double sum = 0;
    for (Index m = 0; m < micro_batches; ++m) {
      const Batch rows = micro(m);
      const auto loss = [&](Tape& t) { return model.loss(t.watch(rows.inputs), rows.targets).sum * share; };
      sum += static_cast<double>(m + 1 == micro_batches ? optimizer.accumulate_last(model, loss)
                                                        : optimizer.accumulate(model, loss));
    }
    return sum;
  });
}

/// The same in stages; in `sent` what this rank has sent to another stage, in all steps.
std::vector<double> train_stages(const Mesh<Ranks>& mesh, const Way& way, Index* sent = nullptr) {
  const auto& ranks = mesh.pipeline();
  using Stages = gopher::GopherStages<gopher::run_time_size, Divided>;
  auto model =
      build(parted(Stages::of(prototype<Divided>(way), ranks.rank(), ranks.size()), mesh.tensor(), way.rows),
            Key{1});
  const Pipeline pipeline{ranks, one_forward_one_backward(ranks.size(), micro_batches)};
  const Traffic before = ranks.traffic();
  const auto found = train(model, mesh, way.stage, [&](auto& optimizer, const auto& micro, float share) {
    return optimizer.accumulate_last_with(model, [&](auto& gradient, auto* listener) {
      return pipeline.accumulate(model, gradient, micro, share, listener);
    });
  });
  if (sent != nullptr) *sent = (ranks.traffic() - before)[Collective::point_to_point].bytes;
  return found;
}

const std::vector<double>& single() {
  static const auto run = train_whole<Whole>(Mesh{SelfCommunicator{}, {}}, {0, false, SequenceRows::whole});
  return run;
}

void check_close(const std::vector<double>& several) {
  for (std::size_t i = 0; i < single().size(); ++i) CHECK(several[i] == Approx(single()[i]).epsilon(1e-5));
}

template <class Model>
auto loss_and_gradient(const Model& model) {
  const auto in = sequences(0, 0, 4, false), out = sequences(0, 0, 4, true);
  return value_and_grad(model, [&](Tape& t) { return model.loss(t.watch(in), out).sum * 0.03f; });
}

/// Bytes that all ranks of the tensor group send in a forward and a backward pass.
template <class Model>
Index bytes_of_pass(const Model& model, const Ranks& ranks) {
  ranks.reset_traffic();
  (void)loss_and_gradient(model);
  const Index own = ranks.traffic().total().bytes;
  return ranks.all_reduce(own);
}

/// Calls f(name, parameter, whole parameter, places) for every parameter of a rank's part of a model: element
/// i of it is element places[i] of the whole one.
template <class Part, class Model, class F>
void for_each_part(const Part& part, const Model& whole, int rank, int ranks, const F& f) {
  for_each_parameter(part, [&](const std::string& name, const auto& p) {
    for_each_parameter(whole, [&](const std::string& other, const auto& q) {
      if (other != name) return;
      const auto own = p.shape().values();
      const auto all = q.shape().values();
      const std::size_t axis = own.size() == 2 && own.back() != all.back() ? 1 : 0;
      Index inner = 1;
      for (std::size_t a = axis + 1; a < own.size(); ++a) inner *= own[a];
      const Index unit = name.find("attention") != name.npos ? size.head_width : 1;
      const Index first = own[axis] == all[axis] ? 0 : all[axis] / unit * rank / ranks * unit;
      std::vector<Index> places;
      for (Index i = 0; i < p.size(); ++i)
        places.push_back(i / (own[axis] * inner) * all[axis] * inner + first * inner +
                         i % (own[axis] * inner));
      f(name, p, q, places);
    });
  });
}

/// Elements whose gradients are added over the ranks.
template <class Model>
Index summed_elements(const Model& model) {
  Index count = 0;
  for_each_parameter(model, [&](const std::string&, const auto& p) {
    if (p.share().sum) count += p.size();
  });
  return count;
}

/// A network with all that can stand between products: norms, maps that are whole, dropout.
template <class Up, class Down>
struct Network {
  LayerNorm<8, Float64<Cpu>> norm;
  Linear<8, 8, Float64<Cpu>> whole;
  Up up;
  Down down;
  Dropout dropout;

  static Network make() {
    return {LayerNorm<8, Float64<Cpu>>::sized(8), Linear<8, 8, Float64<Cpu>>::sized(8, 8), Up::sized(8, 12),
            Down::sized(12, 8), Dropout{0.3}};
  }
  auto operator()(const auto& x, Key key) const {
    const auto h = materialize(x + dropout(whole(norm(x)), key));
    return h + dropout(down(tanh(up(h))), key.fold_in(1));
  }
};
using WholeNetwork = Network<Linear<8, 12, Float64<Cpu>>, Linear<12, 8, Float64<Cpu>>>;
using PartedNetwork =
    Network<ColumnParallelLinear<8, Ranks, Float64<Cpu>>, RowParallelLinear<8, Ranks, Float64<Cpu>>>;

}  // namespace

TEST_CASE("a small Gopher of divided rows learns as a whole one", "[mpi]") {
  CHECK(single()[38] < 0.95 * single()[0]);
  for_each_tensor_mesh([](const auto& mesh) {
    for (const int stage : {1, 2, 3})
      for (const bool rematerialize : {false, true}) {
        INFO(mesh.place() << ", stage " << stage << ", rematerialised: " << rematerialize);
        check_close(train_whole<Divided>(mesh, {stage, rematerialize}));
        check_close(
            train_whole<Divided>(mesh, {stage, rematerialize, SequenceRows::divided, Gathered::again}));
      }
  });
}

TEST_CASE("stages send and receive a rank's rows only", "[mpi]") {
  for_each_tensor_mesh(
      [](const auto& mesh) {
        INFO(mesh.place());
        Index all = 0, own = 0;
        check_close(train_stages(mesh, {1, false, SequenceRows::whole}, &all));
        check_close(train_stages(mesh, {1, false}, &own));
        check_close(train_stages(mesh, {2, true}));
        CHECK(all == own * mesh.tensor().size());
        CHECK((all > 0) == (mesh.pipeline().size() > 1));
      },
      true);
}

TEST_CASE("every parameter has the gradient of the whole model", "[mpi]") {
  const auto whole = make_model<Whole>(SelfCommunicator{}, {0, false, SequenceRows::whole});
  const auto [loss, gradient] = loss_and_gradient(whole);
  for (const bool rematerialize : {false, true}) {
    const auto part = make_model<Divided>(world(), {1, rematerialize});
    const auto [same, own] = loss_and_gradient(part);
    CHECK(same == Approx(loss).epsilon(1e-6));
    const auto& all_gradients = gradient;
    const auto& own_gradients = own;
    for_each_part(part, whole, world().rank(), world().size(),
                  [&](const std::string& name, const auto& p, const auto& q, const auto& places) {
                    INFO(name);
                    const auto all = all_gradients.of(q);
                    const auto mine = own_gradients.of(p);
                    double difference = 0, largest = 0;
                    for (std::size_t i = 0; i < mine.size(); ++i) {
                      const double expected = all[static_cast<std::size_t>(places[i])];
                      difference = std::max(difference, std::abs(mine[i] - expected));
                      largest = std::max(largest, std::abs(expected));
                    }
                    CHECK(difference <= 1e-5 * largest + 1e-9);
                  });
  }
}

TEST_CASE("divided rows are sent as often as whole ones are added", "[mpi]") {
  for_each_tensor_mesh([](const auto& mesh) {
    const auto& ranks = mesh.tensor();
    for (const bool rematerialize : {false, true}) {
      const auto whole = make_model<Divided>(ranks, {1, rematerialize, SequenceRows::whole});
      const auto divided = make_model<Divided>(ranks, {1, rematerialize});
      CHECK(summed_elements(whole) == 0);
      const Index gradients = summed_elements(divided);
      CHECK(gradients ==
            (4 * size.layers + 1) * size.width);  // two gains and two biases of a block, and a gain
      const Index sent = bytes_of_pass(divided, ranks);
      const Index others = ranks.size() - 1, rows = 4 * length;
      CHECK(sent == bytes_of_pass(whole, ranks) + 2 * others * gradients * Index{sizeof(float)});
      const auto again =
          make_model<Divided>(ranks, {1, rematerialize, SequenceRows::divided, Gathered::again});
      const Index twice = 2 * size.layers * rows * size.width * Index{sizeof(float)};  // two norms of a block
      CHECK(bytes_of_pass(again, ranks) == sent + others * twice);
    }
  });
}

TEST_CASE("layers between products see some rows, and their parameters learn from all", "[mpi]") {
  const auto& ranks = world();
  const auto whole = build<WholeNetwork>(Key{3});
  const auto part = build(parted(PartedNetwork::make(), ranks, SequenceRows::divided), Key{3});
  const Index rows = 4 * ranks.size();
  const auto x = materialize(normal<Shape<dyn, dyn, 8>, double>(Key{5}, Shape<dyn, dyn, 8>{{3, rows, 8}}));
  const auto own_x = materialize(slice<1>(x, 4 * ranks.rank(), 4));
  const auto loss = [](const auto& model, const auto& in) { return sum(square(model(in, Key{7}) - 0.5)); };
  const auto [value, gradient] = value_and_grad(whole, [&](Tape& t) { return loss(whole, t.watch(x)); });
  const auto [own, own_gradient] = value_and_grad(part, [&](Tape& t) { return loss(part, t.watch(own_x)); });
  CHECK(ranks.all_reduce(own) == Approx(value).epsilon(1e-12));
  const auto& g = gradient;
  const auto& o = own_gradient;
  const auto check = [](const auto& got, const auto& expected) {
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK(got[i] == Approx(expected[i]).epsilon(1e-9).margin(1e-12));
  };
  check(o.of(part.norm.gain), g.of(whole.norm.gain));
  check(o.of(part.norm.bias), g.of(whole.norm.bias));
  check(o.of(part.whole.weight), g.of(whole.whole.weight));
  check(o.of(part.whole.bias), g.of(whole.whole.bias));
  check(o.of(part.down.bias), g.of(whole.down.bias));
}

TEST_CASE("of divided rows a rank keeps its part, and what products have gathered where they keep it",
          "[mpi]") {
  const auto& ranks = world();
  const Index sequences = 2, rows = 96, width = 128, layers = 3, all = sequences * rows;
  const gopher::ModelSize wide{.layers = layers,
                               .width = width,
                               .heads = 4,
                               .head_width = 8,
                               .feed_forward = 64,
                               .vocabulary = 30,
                               .context = rows};
  const auto kept = [&](SequenceRows how, Gathered gathered) {
    const auto model =
        build(parted(gopher::RunTimeGopher<Divided>::make(wide), ranks, how, gathered), Key{1});
    const Index own = how == SequenceRows::divided ? rows / ranks.size() : rows;
    Tensor<float, Shape<dyn, dyn, dyn>> x{Shape<dyn, dyn, dyn>{{sequences, own, width}}};
    std::fill_n(x.data(), x.size(), 0.5f);
    Index bytes = 0;
    (void)value_and_grad(model, [&](Tape& tape) {
      const auto in = tape.watch(x);
      const Index before = memory_statistics().bytes_in_use;
      const auto y = model.blocks(in);
      bytes = memory_statistics().bytes_in_use - before;
      return sum(square(y));
    });
    return static_cast<double>(bytes);
  };
  (void)kept(SequenceRows::whole, Gathered::kept);  // what is computed once stays
  const double whole = kept(SequenceRows::whole, Gathered::kept);
  const double divided = kept(SequenceRows::divided, Gathered::kept);
  const double again = kept(SequenceRows::divided, Gathered::again);
  // In a block: both sums of products, both residual sums, and of each norm a number for a row.
  const double between = static_cast<double>(layers * all * (4 * width + 2) * Index{sizeof(float)});
  CHECK(whole - again == Approx(between * (1 - 1.0 / ranks.size())).epsilon(0.01).margin(1));
  // Both norms' rows, as the products read them.
  const double gathered = static_cast<double>(layers * all * 2 * width * Index{sizeof(float)});
  CHECK(divided - again == Approx(ranks.size() == 1 ? 0 : gathered).epsilon(0.01).margin(1));
}

TEST_CASE("rows that cannot be divided are refused, and whole ones decode", "[mpi]") {
  auto part = make_model<Divided>(world(), {});
  if (world().size() > 1) {
    CHECK_THROWS_WITH(
        part(sequences(0, 0, 1, false, world().size() + 1)),
        Contains("sequence parallelism: the " + std::to_string(world().size() + 1) + " rows of") &&
            Contains("not a multiple of " + std::to_string(world().size()) + " ranks"));
    auto caches = part.caches(context);
    CHECK_THROWS_WITH(part.next(prompt(world().size()), caches),
                      Contains("decoding needs all rows on every rank"));
    CHECK_THROWS_WITH(parted(gopher::RunTimeGopher<Whole>::make(size), world(), SequenceRows::divided),
                      Contains("'blocks.0.attention' mixes the rows of a sequence"));
  }
  const auto whole = make_model<Whole>(SelfCommunicator{}, {0, false, SequenceRows::whole});
  const auto check = [](const auto& got, const auto& expected) {
    REQUIRE(got.size() == expected.size());
    for (Index i = 0; i < got.size(); ++i)
      CHECK(got.data()[i] == Approx(expected.data()[i]).epsilon(1e-4).margin(1e-6));
  };
  const auto text = sequences(0, 0, 2, false);
  check(materialize(part(text)), materialize(whole(text)));
  set_rows(part, world(), SequenceRows::whole);
  CHECK(summed_elements(part) == 0);
  auto caches = whole.caches(context), own_caches = part.caches(context);
  check(part.next(prompt(5), own_caches), whole.next(prompt(5), caches));
}
