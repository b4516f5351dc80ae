// A small Gopher, 20 steps on one rank and on all: the same losses for every stage.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/data_parallel.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>
#include <map>

#include "small_gopher.hpp"
#include "world.hpp"

using namespace burrow;
using mpi_test::world;

using namespace small_gopher;

namespace {

template <class Policy, class C>
auto make_model(const Mesh<C>& mesh, bool rematerialize = false) {
  auto prototype = gopher::RunTimeGopher<Policy>::make(size);
  if (rematerialize) prototype.blocks.rematerialize = Rematerialization::block();
  return build(parted(std::move(prototype), mesh.tensor()), Key{1});
}

/// The losses of 20 steps with clipping on a mesh, and the gradients' norms.
template <class Policy, class C>
std::vector<double> losses(const Mesh<C>& mesh, const ShardingOptions& options, bool rematerialize = false) {
  auto model = make_model<Policy>(mesh, rematerialize);
  auto optimizer = Sharded{Adam{model, {.learning_rate = 3e-3}}, mesh, options};
  const auto& ranks = mesh.data();
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
      const auto loss = [&](Tape& t) { return model.loss(t.watch(in), out).sum * share; };
      const bool ends = begin + micro_batch >= parts.size(0);
      terms.sum += static_cast<double>(ends ? optimizer.accumulate_last(model, loss)
                                            : optimizer.accumulate(model, loss));
    }
    const auto reduced = optimizer.reduce();
    const double norm = optimizer.norm(reduced);
    optimizer.step(model, reduced, {.gradient_factor = clip_factor(norm, 0.7)});
    all.push_back(all_reduce(ranks, terms).sum);
    all.push_back(norm);
  }
  return all;
}

const std::vector<double>& single() {
  static const auto run = losses<Whole>(Mesh{SelfCommunicator{}, {}}, {});
  return run;
}

void check_close(const std::vector<double>& several) {
  for (std::size_t i = 0; i < single().size(); ++i) CHECK(several[i] == Approx(single()[i]).epsilon(1e-5));
}

}  // namespace

TEST_CASE("a small Gopher learns alike on one rank and on several", "[mpi]") {
  CHECK(single()[38] < 0.95 * single()[0]);
  const Mesh mesh{world(), {.data = world().size()}};
  const auto plain = losses<Whole>(mesh, {.stage = 0});
  check_close(plain);
  CHECK(losses<Whole>(mesh, {.stage = 1})[38] == plain[38]);
  CHECK(losses<Whole>(mesh, {.stage = 1, .bucket_elements = 1000}, true)[38] == plain[38]);
  const auto divided = losses<Whole>(mesh, {.stage = 2});
  check_close(divided);
  CHECK(losses<Whole>(mesh, {.stage = 2}) == divided);
  CHECK(losses<Whole>(mesh, {.stage = 3})[38] == divided[38]);
}

TEST_CASE("a small Gopher whose products are shared learns as a whole one", "[mpi]") {
  for (int tensor = 1; tensor <= world().size(); ++tensor) {
    if (world().size() % tensor != 0) continue;
    const Mesh mesh{world(), {.data = world().size() / tensor, .tensor = tensor}};
    for (const int stage : {0, 1, 2, 3})
      for (const bool rematerialize : {false, true}) {
        INFO(mesh.place() << ", stage " << stage << ", rematerialised: " << rematerialize);
        check_close(losses<Divided>(mesh, {.stage = stage, .bucket_elements = 1000}, rematerialize));
      }
  }
}

TEST_CASE("the parts of a Gopher have the elements of the whole one", "[mpi]") {
  const Mesh mesh{world(), {.tensor = world().size()}};
  const auto whole = make_model<Whole>(Mesh{SelfCommunicator{}, {}});
  const auto part = make_model<Divided>(mesh);
  std::map<std::string, std::pair<std::vector<Index>, std::span<const float>>> wholes;
  for_each_parameter(whole, [&](const std::string& name, const auto& p) {
    const auto& extents = p.shape().values();
    wholes[name] = {{extents.begin(), extents.end()}, p.values()};
  });
  Index counted = 0, parameters = 0;
  for_each_parameter(part, [&](const std::string& name, const auto& p) {
    INFO(name);
    ++parameters;
    if (p.share().counted) counted += p.size();
    const auto& [extents, values] = wholes.at(name);
    const auto& own = p.shape().values();
    const std::size_t axis = own.size() == 2 && own[1] != extents[1] ? 1 : 0;
    Index inner = 1;
    for (std::size_t a = axis + 1; a < own.size(); ++a) inner *= own[a];
    const Index unit = name.find("attention") != name.npos ? size.head_width : 1;
    const Index n = world().size(), r = world().rank();
    const Index first = own[axis] == extents[axis] ? 0 : extents[axis] / unit * r / n * unit;
    bool same = true;
    for (Index i = 0; i < p.size(); ++i) {
      const Index row = i / (own[axis] * inner), rest = i % (own[axis] * inner);
      const Index at = row * extents[axis] * inner + first * inner + rest;
      same &= p.values()[static_cast<std::size_t>(i)] == values[static_cast<std::size_t>(at)];
    }
    CHECK(same);
  });
  CHECK(parameters == static_cast<Index>(wholes.size()));
  CHECK(world().all_reduce(counted) == count_parameters(whole));
}

TEST_CASE("a Gopher whose words are shared scores and continues texts as a whole one", "[mpi]") {
  const Mesh mesh{world(), {.tensor = world().size()}};
  const auto whole = make_model<Whole>(Mesh{SelfCommunicator{}, {}});
  const auto part = make_model<Divided>(mesh);
  const auto check = [](const auto& got, const auto& expected) {
    REQUIRE(got.size() == expected.size());
    for (Index i = 0; i < got.size(); ++i)
      CHECK(got.data()[i] == Approx(expected.data()[i]).epsilon(1e-4).margin(1e-6));
  };
  const auto text = tokens(0, 0, 2, false);
  check(materialize(part(text)), materialize(whole(text)));
  auto caches = whole.caches(context);
  auto own_caches = part.caches(context);
  for (const std::int32_t token : {3, 7, 1}) {
    Tensor<std::int32_t, Shape<1, dyn>> next{Shape<1, dyn>{{1, 1}}};
    next.data()[0] = token;
    check(part.next(next, own_caches), whole.next(next, caches));
  }
}

TEST_CASE("more ranks than heads are refused", "[mpi]") {
  if (world().size() < 3) return;
  auto narrow = size;
  narrow.heads = 2;
  CHECK_THROWS_WITH(parted(gopher::RunTimeGopher<Divided>::make(narrow), world()),
                    Catch::Contains("tensor parallelism: 2 heads are not enough for"));
}
