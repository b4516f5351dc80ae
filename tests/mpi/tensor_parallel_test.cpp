// A network of parallel layers is the network of whole ones: its values, its gradients, its training.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/mesh.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/distributed/tensor_parallel.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/indexing.hpp>
#include <catch2/catch.hpp>

#include "tests/mpi/world.hpp"

using namespace burrow;
using mpi_test::world;

namespace {

constexpr Index width = 3, hidden = 10;  // hidden does not divide by 3 and 4
using Precision = Float64<Cpu>;
using Ranks = distributed::World;

struct Whole {
  Linear<width, hidden, Precision> up;
  Linear<hidden, width, Precision> down;
  auto operator()(const auto& x) const { return down(gelu(up(x))); }
};

template <class Policy>
struct PartedNetwork {
  ColumnParallelLinear<width, Ranks, Policy> up;
  RowParallelLinear<width, Ranks, Policy> down;
  auto operator()(const auto& x) const { return down(gelu(up(x))); }
};

using Parted = PartedNetwork<Precision>;

template <class Policy = Precision>
PartedNetwork<Policy> built_part(const Ranks& ranks, Key key) {
  return build(parted(PartedNetwork<Policy>{ColumnParallelLinear<width, Ranks, Policy>::sized(width, hidden),
                                            RowParallelLinear<width, Ranks, Policy>::sized(hidden, width)},
                      ranks),
               key);
}

Tensor<double, Shape<dyn, width>> inputs(Index rows, std::uint64_t seed) {
  Tensor<double, Shape<dyn, width>> x{Shape<dyn, width>{{rows, width}}};
  for (Index i = 0; i < x.size(); ++i)
    x.data()[i] = static_cast<double>(Key{seed}.normal(static_cast<std::uint64_t>(i)));
  return x;
}

auto loss(const auto& model, const auto& x) { return sum(square(model(x) - 1.0)); }

/// Rows of `whole` and columns, from `first` on, against a part of it.
void check_part(std::span<const double> part, std::span<const double> whole, Index columns, Index all,
                Index first) {
  for (std::size_t i = 0; i < part.size(); ++i) {
    const Index index = static_cast<Index>(i);
    const Index at = columns == 0 ? 0 : index / columns * all + first + index % columns;
    CHECK(part[i] == Approx(whole[static_cast<std::size_t>(at)]).epsilon(1e-9).margin(1e-12));
  }
}

/// What this rank has of the values of a whole network, flat as the parameters are.
template <class Of>
void check_parts(const Parted& model, const Whole& whole, const Of& of) {
  const Index n = world().size(), r = world().rank();
  const Index first = hidden * r / n, own = hidden * (r + 1) / n - first;
  check_part(of(model, model.up.weight), of(whole, whole.up.weight), own, hidden, first);
  check_part(of(model, model.up.bias), of(whole, whole.up.bias), own, hidden, first);
  check_part(of(model, model.down.weight), of(whole, whole.down.weight), width, width, first * width);
  check_part(of(model, model.down.bias), of(whole, whole.down.bias), width, width, 0);
}

}  // namespace

TEST_CASE("parallel layers have the values and gradients of whole ones", "[mpi]") {
  const auto whole = build<Whole>(Key{4});
  const auto model = built_part(world(), Key{4});
  check_parts(model, whole, [](const auto&, const auto& parameter) { return parameter.values(); });
  const auto x = inputs(5, 1);
  const auto [value, gradient] = value_and_grad(whole, [&](Tape& t) { return loss(whole, t.watch(x)); });
  const auto [same, own] = value_and_grad(model, [&](Tape& t) { return loss(model, t.watch(x)); });
  CHECK(same == Approx(value).epsilon(1e-12));
  const Gradient<Whole>& g = gradient;
  const Gradient<Parted>& o = own;
  check_parts(model, whole, [&]<class M>(const M&, const auto& parameter) {
    if constexpr (std::same_as<M, Whole>)
      return g.of(parameter);
    else
      return o.of(parameter);
  });
}

TEST_CASE("data and tensor parallelism together train as one rank does", "[mpi]") {
  for (int tensor = 1; tensor <= world().size(); ++tensor) {
    if (world().size() % tensor != 0) continue;
    const Mesh mesh{world(), {.data = world().size() / tensor, .tensor = tensor}};
    INFO(mesh.place());
    auto whole = build<Whole>(Key{4});
    auto model = built_part(mesh.tensor(), Key{4});
    Adam single{whole, {.learning_rate = 0.02}};
    Sharded several{Adam{model, {.learning_rate = 0.02}}, mesh};
    const Partition rows{8, mesh.data().size()};
    const Index first = rows.begin(mesh.data().rank()), count = rows.size(mesh.data().rank());
    for (std::uint64_t step = 0; step < 20; ++step) {
      const auto x = inputs(8, step);
      const auto own = materialize(slice<0>(x, first, count));
      auto [value, gradient] = value_and_grad(whole, [&](Tape& t) { return loss(whole, t.watch(x)); });
      auto [part, own_gradient] = value_and_grad(model, [&](Tape& t) { return loss(model, t.watch(own)); });
      CHECK(mesh.data().all_reduce(static_cast<double>(part)) == Approx(value).epsilon(1e-9));
      const auto reduced = several.reduce(own_gradient);
      CHECK(several.norm(reduced) ==
            Approx(global_norm(std::span<const double>{gradient.values()})).epsilon(1e-9));
      single.step(whole, gradient);
      several.step(model, reduced);
    }
  }
}

TEST_CASE("what all ranks have stays equal when updates are rounded stochastically", "[mpi]") {
  auto model = built_part<Bf16<Cpu>>(world(), Key{4});
  Adam optimizer{model, {.learning_rate = 0.02, .bf16_update = Bf16Update::stochastic, .key = Key{7}}};
  for (std::uint64_t step = 0; step < 5; ++step) {
    const auto x = materialize(cast<bf16>(inputs(8, step)));
    auto [value, gradient] =
        value_and_grad(model, [&](Tape& t) { return sum(square(cast<float>(model(t.watch(x))) - 1.0f)); });
    optimizer.step(model, gradient);
  }
  for (const bf16 b : model.down.bias.values()) {  // its place differs where parts are uneven
    const auto value = static_cast<float>(b);
    CHECK(value != 0);
    CHECK(world().all_reduce(value, Reduction::max) == value);
  }
}
