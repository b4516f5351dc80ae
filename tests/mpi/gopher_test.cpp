// A small Gopher, 20 steps on one rank and on all: the same losses for every stage.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/data_parallel.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>

#include "gopher_model/model/gopher.hpp"
#include "world.hpp"

using namespace burrow;
using mpi_test::world;

namespace {

using Model = gopher::RunTimeGopher<Float32<Cpu>>;
using Tokens = Tensor<std::int32_t, Shape<dyn, dyn>>;

constexpr Index batch = 12, context = 6, vocabulary = 30, micro_batch = 3;

/// Sequences [begin, end) of a step; every fifth target is not counted.
Tokens tokens(Index step, Index begin, Index end, bool targets) {
  Tokens t{Shape<dyn, dyn>{{end - begin, context}}};
  for (Index i = 0; i < t.size(); ++i) {
    const auto at = static_cast<std::uint64_t>(begin * context + i + targets);
    const bool ignored = targets && (begin * context + i) % 5 == 0;
    const float u = Key{77}.fold_in(static_cast<std::uint64_t>(step)).uniform(at);
    t.data()[i] = ignored ? -1 : static_cast<std::int32_t>(u * u * float(vocabulary));
  }
  return t;
}

template <class C>
std::vector<double> losses(const C& ranks, const ShardingOptions& options, bool rematerialize = false) {
  auto prototype = Model::make({.layers = 2,
                                .width = 16,
                                .heads = 2,
                                .head_width = 8,
                                .feed_forward = 32,
                                .vocabulary = vocabulary,
                                .context = context});
  prototype.blocks.rematerialize = rematerialize;
  auto model = build(std::move(prototype), Key{1});
  auto optimizer = Sharded{Adam{model, {.learning_rate = 3e-3}}, ranks, options};
  const Partition parts{batch, ranks.size()};
  const Index first = parts.begin(ranks.rank()), last = parts.end(ranks.rank());
  std::vector<double> all;
  for (Index step = 0; step < 20; ++step) {
    LossSum terms{0, 0};
    for (const auto target : tokens(step, first, last, true).values()) terms.count += target >= 0;
    const float share = 1.0f / static_cast<float>(all_reduce(ranks, terms).count);
    for (Index begin = 0; begin < parts.size(0); begin += micro_batch) {  // the same number on all ranks
      const Index from = std::min(first + begin, last), to = std::min(from + micro_batch, last);
      const auto in = tokens(step, from, to, false), out = tokens(step, from, to, true);
      terms.sum += static_cast<double>(
          optimizer.accumulate(model, [&](Tape& t) { return model.loss(t.watch(in), out).sum * share; }));
    }
    const auto reduced = optimizer.reduce();
    optimizer.step(model, reduced, {.gradient_factor = clip_factor(optimizer.norm(reduced), 1.0)});
    all.push_back(all_reduce(ranks, terms).sum);
  }
  return all;
}

}  // namespace

TEST_CASE("a small Gopher learns alike on one rank and on several", "[mpi]") {
  const auto single = losses(SelfCommunicator{}, {});
  CHECK(single.back() < 0.95 * single.front());
  const auto check = [&](const std::vector<double>& several) {
    for (std::size_t i = 0; i < single.size(); ++i) CHECK(several[i] == Approx(single[i]).epsilon(1e-5));
  };
  const auto plain = losses(world(), {.stage = 0});
  check(plain);
  CHECK(losses(world(), {.stage = 1}) == plain);
  CHECK(losses(world(), {.stage = 1, .bucket_elements = 1000}, true) == plain);
  const auto divided = losses(world(), {.stage = 2});
  check(divided);
  CHECK(losses(world(), {.stage = 2}) == divided);
}
