// ZeRO stage 3: the parameters of blocks are there while they are needed; nothing else changes.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/build_sharded.hpp>
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/optim/adafactor.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>
#include <functional>

#include "tests/mpi/world.hpp"

using namespace burrow;
using mpi_test::world;

namespace stage3_test {  // clang warns of modules without linkage

/// Is called in every block, where it is set.
inline std::function<void()> inside;

template <Index Width>
struct Block {
  Mlp<Width, 2 * Width> mlp;
  auto operator()(const auto& x) const {
    if (inside) inside();
    return x + mlp(x);
  }
};

template <Index Width>
struct Network {
  Linear<3, Width> first;
  Repeat<Block<Width>, 4> blocks;
  Linear<Width, 1> last;
  auto operator()(const auto& x) const { return last(blocks(first(x))); }
};

/// Bytes of a span that are in memory.
template <class T>
Index resident(std::span<T> values) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(values.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(values.data() + values.size());
  std::vector<unsigned char> pages((end - begin + page - 1) / page);
  REQUIRE(mincore(reinterpret_cast<void*>(begin), end - begin, pages.data()) == 0);
  Index count = 0;
  for (const unsigned char p : pages) count += p & 1;
  return count * static_cast<Index>(page);
}

struct Run {
  std::vector<float> losses, parameters;
  Traffic sent;
};

/// Two steps of two micro-batches.
template <class Model, class Make>
Run train(int stage, Rematerialization rematerialize, const Make& make) {
  auto model = build<Model>(Key{1});
  model.blocks.rematerialize = rematerialize;
  Sharded optimizer{make(model), world(), {.stage = stage, .bucket_elements = 500}};
  Run run;
  world().reset_traffic();
  for (std::uint64_t step = 0; step < 3; ++step) {
    for (std::uint64_t m = 0; m < 2; ++m) {
      const auto x = normal<Shape<4, 3>>(
          Key{7}.fold_in(10 * step + m).fold_in(static_cast<std::uint64_t>(world().rank())));
      run.losses.push_back(
          optimizer.accumulate(model, [&](Tape& tape) { return sum(square(model(tape.watch(x)) - 1.0f)); }));
    }
    optimizer.step(model, optimizer.reduce());
  }
  run.sent = world().traffic();
  const auto x = normal<Shape<4, 3>>(Key{8});
  run.losses.push_back(sum(model(x)).item());  // without a tape
  optimizer.gather();
  run.parameters.assign(parameters(model).values().begin(), parameters(model).values().end());
  return run;
}

/// For an optimizer of a Network<128>, of each block of which a rank has `most` elements at most.
template <class Optimizer>
void check_built_in_parts(Index most) {
  using Model = typename Optimizer::model_type;
  const Index pages = 16 * 4096;  // at the ends of parts
  const Index rest = parameter_count<Model> - 4 * (128 * 256 * 2 + 256 + 128);
  const ShardingOptions options{.stage = 3};
  Model prototype;
  auto model = build_sharded<Optimizer>(std::move(prototype), Key{1}, world(), options);
  const auto values = parameters(model).values();
  CHECK(resident(values) <= 4 * (rest + 4 * most) + pages);
  Sharded optimizer{Optimizer{model}, world(), options};
  CHECK(resident(values) <= 4 * (rest + 4 * most) + pages);
  optimizer.gather();
  const auto whole = build<Model>(Key{1});
  CHECK(std::equal(values.begin(), values.end(), parameters(whole).values().begin()));
}

}  // namespace stage3_test

using namespace stage3_test;

TEST_CASE("stage 3 gives the bits of stage 2", "[mpi]") {
  using Model = Network<6>;
  const auto check = [](const auto& make) {
    const Run expected = train<Model>(2, {}, make);
    for (const auto rematerialize : {Rematerialization::none(), Rematerialization::selective(),
                                     Rematerialization::block(), Rematerialization::every(2)}) {
      const Run run = train<Model>(3, rematerialize, make);
      CHECK(run.losses == expected.losses);
      CHECK(run.parameters == expected.parameters);
    }
  };
  check([](const Model& m) { return Adam{m, {.learning_rate = 1e-2}}; });
  check([](const Model& m) { return Adafactor{m}; });
}

TEST_CASE("stage 3 sends blocks twice in a micro-batch, but for the last, and their gradients once",
          "[mpi]") {
  using Model = Network<6>;
  const Index n = world().size(), all = parameter_count<Model>, block = 6 * 12 * 2 + 12 + 6,
              rest = all - 4 * block;
  const Run run = train<Model>(3, {}, [](const Model& m) { return Adam{m}; });
  const auto sent = [&](Collective c) {
    return world().all_reduce(run.sent[c].bytes) / 4 / (n > 1 ? n - 1 : 1);
  };
  CHECK(sent(Collective::reduce_scatter) == (n > 1 ? 6 * all : 0));
  CHECK(sent(Collective::all_gather) == (n > 1 ? 6 * 7 * block + 3 * rest : 0));
}

TEST_CASE("a model that is built in parts has the bits of a whole one, and a rank's part of its memory",
          "[mpi]") {
  const Index n = world().size(), matrix = 128 * 256, vectors = 256 + 128;
  check_built_in_parts<Adam<Network<128>>>((2 * matrix + vectors + n - 1) / n);
  check_built_in_parts<Adafactor<Network<128>>>(n == 1 ? 2 * matrix + vectors : matrix + vectors);
}

TEST_CASE("a rank has its part of the parameters, and two blocks while it computes", "[mpi]") {
  using Model = Network<128>;
  constexpr Index block_bytes = 4 * (128 * 256 * 2 + 256 + 128);
  auto model = build<Model>(Key{1});
  model.blocks.rematerialize = Rematerialization::block();
  Sharded optimizer{Adam{model}, world(), {.stage = 3}};
  const auto values = parameters(model).values();
  const Index n = world().size(), pages = 16 * 4096;  // at the ends of parts
  const Index rest = 4 * parameter_count<Model> - 4 * block_bytes;
  const auto own_bytes = [&] { return resident(values); };
  CHECK(own_bytes() <= rest + 4 * block_bytes / n + pages);
  const auto x = normal<Shape<4, 3>>(Key{8});
  Index most = 0;
  Index times = 0;
  inside = [&] {
    most = std::max(most, own_bytes());
    ++times;
  };
  for (int step = 0; step < 2; ++step) {
    optimizer.accumulate(model, [&](Tape& tape) { return sum(square(model(tape.watch(x)))); });
    optimizer.step(model, optimizer.reduce());
  }
  inside = nullptr;
  CHECK(times == 16);  // in forward and backward passes
  CHECK(most <= rest + 4 * block_bytes / n + 2 * block_bytes + pages);
  CHECK(own_bytes() <= rest + 4 * block_bytes / n + pages);
  optimizer.gather();
  CHECK(own_bytes() >= 4 * parameter_count<Model>);
}
