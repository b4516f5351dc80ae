// Training on several GPUs is training on one CPU: what NCCL adds, and what each GPU remembers, for every
// stage that a GPU has.
#include <catch2/catch.hpp>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/cuda.cuh>

#include "tests/cuda/nccl/gpus.hpp"

namespace {

using namespace burrow;
using nccl_test::gpus;

template <class Policy>
struct Network {
  Linear<6, 20, Policy> up;
  Linear<20, 3, Policy> down;
  auto operator()(const auto& x) const { return down(gelu(up(x))); }
};

struct Run {
  std::vector<double> losses, norms;
  Index remembered = 0;  // bytes on this rank
  Traffic sent;
};

/// Four steps of two micro-batches, whose rows `ranks` share.
template <class D, class C>
Run train(const C& ranks, const ShardingOptions& options) {
  auto model = build<Network<Float32<D>>>(Key{0});
  const Index before = memory_statistics<D>().bytes_in_use;
  Sharded optimizer{Adam{model, {.learning_rate = 1e-2}}, ranks, options};
  Run run;
  for (const auto& part : optimizer.state().values)
    run.remembered += static_cast<Index>(part.values.size_bytes());
  CHECK(memory_statistics<D>().bytes_in_use - before >= run.remembered);
  const Index rows = 24;
  const Partition parts{rows, ranks.size()};
  const Traffic sent = ranks.traffic();
  for (std::uint64_t step = 0; step < 4; ++step) {
    double total = 0;
    for (std::uint64_t m = 0; m < 2; ++m) {
      const auto all = Tensor(normal<Shape<24, 6>>(Key{1}.fold_in(2 * step + m)));
      const auto x = to<D>(Tensor(slice<0>(all, parts.begin(ranks.rank()), parts.size(ranks.rank()))));
      const auto loss = [&](Tape& tape) { return sum(square(model(tape.watch(x)) - 1.0f)) * (1.0f / 48); };
      total += static_cast<double>(m == 1 ? optimizer.accumulate_last(model, loss)
                                          : optimizer.accumulate(model, loss));
    }
    const auto reduced = optimizer.reduce();
    run.norms.push_back(optimizer.norm(reduced));
    optimizer.step(model, reduced, {.gradient_factor = clip_factor(run.norms.back(), 0.5)});
    run.losses.push_back(ranks.all_reduce(total));
  }
  run.sent = ranks.traffic() - sent;
  return run;
}

}  // namespace

TEST_CASE("GPUs that divide an optimizer learn what one CPU learns") {
  const Run expected = train<Cpu>(SelfCommunicator{}, {.stage = 0});
  CHECK(expected.losses.back() < 0.9 * expected.losses.front());
  const Index ranks = gpus().size(), count = parameter_count<Network<Float32<Cuda>>>;
  for (const ShardingOptions options :
       {ShardingOptions{0}, ShardingOptions{1}, ShardingOptions{1, 17}, ShardingOptions{2}}) {
    INFO("stage " << options.stage << ", buckets of " << options.bucket_elements);
    const Run run = train<Cuda>(gpus(), options);
    for (std::size_t i = 0; i < run.losses.size(); ++i) {
      CHECK(run.losses[i] == Approx(expected.losses[i]).epsilon(1e-5));
      CHECK(run.norms[i] == Approx(expected.norms[i]).epsilon(1e-5));
    }
    CHECK(mpi_test::world().all_reduce(run.remembered) == 8 * count * (options.stage == 0 ? ranks : 1));
  }
}

TEST_CASE("stage 3 is refused where a GPU has the parameters") {
  const auto model = build<Network<Float32<Cuda>>>(Key{0});
  CHECK_THROWS_WITH((Sharded{Adam{model}, SelfCommunicator{}, {.stage = 3}}),
                    Catch::Contains("stage 3 gives memory back by the page, which a GPU's memory cannot"));
}
