// Training on several ranks is training on one: the same losses whatever is divided, for every optimizer.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/data_parallel.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/optim/adafactor.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/lion.hpp>
#include <burrow/optim/rms_prop.hpp>
#include <burrow/optim/sgd.hpp>
#include <burrow/tensor/indexing.hpp>
#include <catch2/catch.hpp>

#include "tests/mpi/world.hpp"

using namespace burrow;
using mpi_test::world;

namespace {

constexpr Index batch = 12, steps = 20, width = 7;

template <class Policy>
struct Network {
  Linear<5, width, Policy> up;
  Linear<width, 3, Policy> down;
  auto operator()(const auto& x) const { return down(tanh(up(x))); }
};
using Model = Network<Float32<Cpu>>;

/// Rows [begin, end) of a step's batch.
Tensor<float, Shape<dyn, 5>> rows(Index step, Index begin, Index end) {
  Tensor<float, Shape<dyn, 5>> x{Shape<dyn, 5>{{end - begin, 5}}};
  for (Index i = 0; i < x.size(); ++i)
    x.data()[i] =
        Key{5}.fold_in(static_cast<std::uint64_t>(step)).normal(static_cast<std::uint64_t>(begin * 5 + i));
  return x;
}

struct Run {
  std::vector<double> losses;
  std::vector<float> parameters;
  Traffic sent;
};

/// Trains with `make(model)`'s optimizer on the ranks of `ranks`, each with its rows of a batch, in two
/// micro-batches.
template <class M, class C, class Make>
Run train(const C& ranks, const ShardingOptions& options, const Make& make, bool overlap = false) {
  auto model = build<M>(Key{3});
  auto optimizer = Sharded{make(model), ranks, options};
  const Partition parts{batch, ranks.size()};
  Run run;
  if constexpr (requires { ranks.reset_traffic(); }) ranks.reset_traffic();
  for (Index step = 0; step < steps; ++step) {
    LossSum mine;
    const Index begin = parts.begin(ranks.rank()), end = parts.end(ranks.rank()), middle = (begin + end) / 2;
    for (const auto& [from, to] : {std::pair{begin, middle}, std::pair{middle, end}}) {
      const auto x = rows(step, from, to);
      const auto loss = [&](Tape& tape) {
        const auto error = model(tape.watch(x)) - cast<float>(slice<1, 3>(x, 1));
        return sum(square(cast<float>(error))) * (1.0f / batch);
      };
      const bool last = overlap && from == middle;
      mine.sum += static_cast<double>(last ? optimizer.accumulate_last(model, loss)
                                           : optimizer.accumulate(model, loss));
      mine.count += to - from;
    }
    const auto reduced = optimizer.reduce();
    const double factor = clip_factor(optimizer.norm(reduced), 0.5);
    optimizer.step(model, reduced, {.gradient_factor = factor});
    const LossSum all = all_reduce(ranks, mine);
    CHECK(all.count == batch);
    run.losses.push_back(all.sum);
  }
  for (const auto p : parameters(model).values()) run.parameters.push_back(static_cast<float>(p));
  run.sent = ranks.traffic();
  return run;
}

void check_close(const Run& run, const Run& single, double tolerance) {
  for (std::size_t i = 0; i < run.losses.size(); ++i)
    CHECK(run.losses[i] == Approx(single.losses[i]).epsilon(tolerance));
}

/// All stages and two sizes of buckets give the same bits, close to those of one rank.
template <class M, class Make>
void check_equivalence(const Make& make, double tolerance) {
  const Run single = train<M>(SelfCommunicator{}, {}, make);
  CHECK(single.losses.back() < single.losses.front());
  const Run first = train<M>(world(), {.stage = 0}, make);
  check_close(first, single, tolerance);
  CHECK(world().all_reduce(first.parameters.back(), Reduction::max) == first.parameters.back());
  for (const ShardingOptions options : {ShardingOptions{1}, ShardingOptions{1, 17}, ShardingOptions{0, 10}}) {
    const Run run = train<M>(world(), options, make);
    INFO("stage " << options.stage << ", buckets of " << options.bucket_elements);
    CHECK(run.parameters == first.parameters);
    CHECK(run.losses == first.losses);
    CHECK(train<M>(world(), options, make, true).parameters == first.parameters);
  }
  const Run second = train<M>(world(), {2}, make), again = train<M>(world(), {2, 17}, make);
  check_close(second, single, tolerance);  // two micro-batches are added in another order
  CHECK(second.parameters == again.parameters);
  CHECK(train<M>(world(), {3}, make).parameters ==
        second.parameters);  // no repeated blocks: nothing is given back
}

}  // namespace

TEST_CASE("Adam on several ranks is Adam on one", "[mpi]") {
  check_equivalence<Model>(
      [](const Model& m) {
        return Adam{m, {.learning_rate = 1e-2, .weight_decay = 0.1}};
      },
      1e-5);
}
TEST_CASE("Sgd on several ranks is Sgd on one", "[mpi]") {
  check_equivalence<Model>(
      [](const Model& m) {
        return Sgd{m, {.learning_rate = 0.1, .momentum = 0.9}};
      },
      1e-5);
}
TEST_CASE("Lion on several ranks is Lion on one", "[mpi]") {
  // a sum in another order may turn a sign, so the rate is small
  check_equivalence<Model>([](const Model& m) { return Lion{m, {.learning_rate = 1e-3}}; }, 1e-3);
}
TEST_CASE("RmsProp on several ranks is RmsProp on one", "[mpi]") {
  check_equivalence<Model>([](const Model& m) { return RmsProp{m, {.learning_rate = 1e-2}}; }, 1e-5);
}
TEST_CASE("AdaGrad on several ranks is AdaGrad on one", "[mpi]") {
  check_equivalence<Model>([](const Model& m) { return AdaGrad{m, {.learning_rate = 1e-1}}; }, 1e-5);
}
TEST_CASE("Adafactor on several ranks is Adafactor on one: ranks have whole parameters", "[mpi]") {
  check_equivalence<Model>([](const Model& m) { return Adafactor{m, {.beta1 = 0.9}}; }, 1e-5);
}
TEST_CASE("groups and frozen parameters are divided with the rest", "[mpi]") {
  check_equivalence<Model>(
      [](const Model& m) {
        return Adam{m, {.learning_rate = 1e-2}, parameter_groups(m, named("up.weight", {.frozen = true}))};
      },
      1e-5);
}

TEST_CASE("bf16 parameters are rounded alike on every number of ranks", "[mpi]") {
  using Narrow = Network<Bf16<Cpu>>;
  for (const Bf16Update update : {Bf16Update::stochastic, Bf16Update::fp32_copy})
    check_equivalence<Narrow>(
        [&](const Narrow& m) {
          return Adam{m, {.learning_rate = 1e-2, .bf16_update = update, .key = Key{8}}};
        },
        0.05);
}

TEST_CASE("partitioned optimizers send no more than plain data parallelism, the least there is", "[mpi]") {
  const Index n = world().size(), parameter_bytes = parameter_count<Model> * 4;
  const auto adam = [](const Model& m) { return Adam{m}; };
  const auto sent = [&](int stage, Collective c) {
    const Run run = train<Model>(world(), {.stage = stage}, adam, true);
    return world().all_reduce(run.sent[c].bytes) / steps;
  };
  const Index loss_bytes = 2 * (n - 1) * 16, norm_bytes = 2 * (n - 1) * 8;
  CHECK(sent(0, Collective::all_reduce) == 2 * (n - 1) * parameter_bytes + loss_bytes);
  CHECK(sent(1, Collective::reduce_scatter) == (n - 1) * parameter_bytes);
  CHECK(sent(1, Collective::all_gather) == (n - 1) * parameter_bytes);
  CHECK(sent(1, Collective::all_reduce) == loss_bytes + norm_bytes);
  CHECK(sent(2, Collective::reduce_scatter) == 2 * (n - 1) * parameter_bytes);  // of two micro-batches
}

TEST_CASE("the memory of a rank is what the stage says", "[mpi]") {
  struct Wide {
    Linear<1024, 1020> only;
  };
  auto model = build<Wide>(Key{1});
  const auto count = static_cast<double>(parameters(model).values().size());
  const double own = std::ceil(count / world().size());
  const auto used = [&](const auto& make) {
    const Index before = memory_statistics().bytes_in_use;
    [[maybe_unused]] const auto kept = make();
    return static_cast<double>(memory_statistics().bytes_in_use - before);
  };
  // the pool has eight sizes of blocks to a factor of two
  const auto check = [&](double bytes, double expected) {
    CHECK(bytes >= expected);
    CHECK(bytes <= expected * 1.126 + 4096);
  };
  check(used([&] { return Sharded{Adam{model}, world(), {.stage = 0}}; }), 8 * count);
  check(used([&] { return Sharded{Adam{model}, world()}; }), 8 * own);
  check(used([&] { return Sharded{Sgd{model, {.momentum = 0.9}}, world()}; }), 4 * own);
  reset_peak_memory();
  const Index before = memory_statistics().peak_bytes_in_use;
  (void)Sharded{Adam{model}, world()};
  CHECK(static_cast<double>(memory_statistics().peak_bytes_in_use - before) <= 8 * own * 1.126 + 4096);
}

TEST_CASE("steps take no memory from the system once all buckets were on their way at once", "[mpi]") {
  const int ranks = world().size(), rank = world().rank();
  for (const int stage : {0, 1, 2}) {
    auto model = build<Model>(Key{1});
    Sharded optimizer{Adam{model}, world(), {.stage = stage, .bucket_elements = 20}};
    const auto x = rows(0, 0, 4);
    std::int32_t begun = 0;
    /// Rank `late` computes when the others have begun to reduce all buckets, of which none can be done.
    const auto step = [&](int late) {
      optimizer.accumulate_last_with(model, [&](auto& gradient, auto* listener) {
        for (int r = 0; rank == late && r < ranks; ++r)
          if (r != late) world().receive(std::span{&begun, 1}, r);
        const auto loss = [&](Tape& tape) { return sum(square(model(tape.watch(x)))); };
        const auto value = accumulate_gradient(model, gradient, loss, listener);
        if (late >= 0 && rank != late) world().send(std::span<const std::int32_t>{&begun, 1}, late);
        return value;
      });
      const auto reduced = optimizer.reduce();
      optimizer.step(model, reduced, {.gradient_factor = clip_factor(optimizer.norm(reduced), 1.0)});
    };
    for (int late = 0; late < ranks; ++late) step(late);
    const Index before = memory_statistics().system_allocations;
    for (int i = 0; i < 50; ++i) step(-1);
    CHECK(memory_statistics().system_allocations == before);
  }
}

TEST_CASE("the parts of what ranks remember make up what one remembers", "[mpi]") {
  const auto check = [](const auto& make) {
    auto model = build<Model>(Key{3}), same = build<Model>(Key{3});
    auto optimizer = Sharded{make(model), world(), {.bucket_elements = 20}};
    auto single = make(same);
    for (std::uint64_t step = 0; step < 2; ++step) {
      Gradient mine{model}, whole{same};
      for (std::size_t i = 0; i < whole.values().size(); ++i) whole.values()[i] = Key{step}.normal(i);
      if (world().rank() == 0) std::copy(whole.values().begin(), whole.values().end(), mine.values().begin());
      optimizer.step(model, mine);
      single.step(same, whole);
    }
    CHECK(std::ranges::equal(parameters(model).values(), parameters(same).values()));
    auto state = optimizer.state();
    auto expected = single.state();
    CHECK(state.steps == 2);
    for (const auto& part : expected.values) {
      std::vector<float> all(part.values.size());
      for (const auto& own : state.values)
        if (own.name == part.name) {
          CHECK(own.count == static_cast<Index>(all.size()));
          std::copy(own.values.begin(), own.values.end(), all.begin() + own.first);
        }
      world().all_reduce(std::span{all});
      INFO(part.name);
      CHECK(std::ranges::equal(all, part.values));
    }
  };
  check([](const Model& m) { return Adam{m}; });
  check([](const Model& m) { return Adafactor{m, {.beta1 = 0.5}}; });
}

TEST_CASE("one rank's parameters are given to all", "[mpi]") {
  auto model = build<Model>(Key{static_cast<std::uint64_t>(world().rank())});
  broadcast_parameters(model, world(), world().size() - 1);
  const auto expected = build<Model>(Key{static_cast<std::uint64_t>(world().size() - 1)});
  CHECK(std::ranges::equal(parameters(model).values(), parameters(expected).values()));
}

TEST_CASE("an optimizer that was used is not divided", "[mpi]") {
  auto model = build<Model>(Key{1});
  auto optimizer = Adam{model};
  optimizer.step(model, Gradient{model});
  CHECK_THROWS_WITH((Sharded{optimizer, world()}), Catch::Contains("has been used already"));
  CHECK_THROWS_WITH((Sharded{Adam{model}, world(), {.stage = 4}}),
                    Catch::Contains("the stage is 0, 1, 2 or 3"));
  Sharded sharded{Adam{model}, world()};
  CHECK_THROWS_WITH(sharded.reduce(), Catch::Contains("no gradient was accumulated"));
  const auto loss = [&](Tape& tape) { return sum(model(tape.watch(rows(0, 0, 2)))); };
  sharded.accumulate_last(model, loss);
  CHECK_THROWS_WITH(sharded.accumulate(model, loss), Catch::Contains("after accumulate_last; call reduce"));
}
