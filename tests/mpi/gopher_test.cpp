// A small Gopher, 20 steps on one rank and on all: the same losses for every stage.
#include <catch2/catch.hpp>
#include <map>

#include "tests/mpi/gopher_training.hpp"
#include "tests/mpi/world.hpp"

using namespace small_gopher;
using mpi_test::world;

namespace {

const Result& single() {
  static const Result run = train_alone({.micro_batches = 1});
  return run;
}

void check_close(const Result& several) {
  for (std::size_t i = 0; i < single().losses.size(); ++i) {
    CHECK(several.losses[i] == Approx(single().losses[i]).epsilon(1e-5));
    CHECK(several.norms[i] == Approx(single().norms[i]).epsilon(1e-5));
  }
}

}  // namespace

TEST_CASE("a small Gopher learns alike on one rank and on several", "[mpi]") {
  CHECK(single().losses.back() < 0.95 * single().losses.front());
  const Mesh mesh{world(), {.data = world().size()}};
  const auto losses = [&](const Settings& settings) { return train_whole<Whole>(mesh, settings).losses; };
  const auto plain = train_whole<Whole>(mesh, {.stage = 0});
  check_close(plain);
  CHECK(losses({.stage = 1}) == plain.losses);
  CHECK(losses({.stage = 1, .bucket_elements = 700, .rematerialize = true}) == plain.losses);
  const auto divided = train_whole<Whole>(mesh, {.stage = 2});
  check_close(divided);
  CHECK(losses({.stage = 2}) == divided.losses);
  CHECK(losses({.stage = 3}) == divided.losses);
}

TEST_CASE("ranks find the bits of one that adds their micro-batches one after another", "[mpi]") {
  const Mesh mesh{world(), {.data = world().size()}};
  const Mesh alone{SelfCommunicator{}, {}};
  const auto one = train_whole<Whole>(alone, {.stage = 2, .micro_batches = world().size(), .clip = 0});
  for (const int stage : {0, 1, 2, 3})
    for (const bool rematerialize : {false, true}) {
      INFO("stage " << stage << ", rematerialised: " << rematerialize);
      CHECK(train_whole<Whole>(
                mesh, {.stage = stage, .micro_batches = 1, .rematerialize = rematerialize, .clip = 0})
                .losses == one.losses);
    }
}

TEST_CASE("a small Gopher whose products are shared learns as a whole one", "[mpi]") {
  for (int tensor = 1; tensor <= world().size(); ++tensor) {
    if (world().size() % tensor != 0) continue;
    const Mesh mesh{world(), {.data = world().size() / tensor, .tensor = tensor}};
    for (const int stage : {0, 1, 2, 3})
      for (const bool rematerialize : {false, true}) {
        INFO(mesh.place() << ", stage " << stage << ", rematerialised: " << rematerialize);
        check_close(train_whole<Divided>(mesh, {.stage = stage, .rematerialize = rematerialize}));
      }
  }
}

TEST_CASE("the parts of a Gopher have the elements of the whole one", "[mpi]") {
  const Mesh mesh{world(), {.tensor = world().size()}};
  const auto whole = make_whole<Whole>(SelfCommunicator{});
  const auto part = make_whole<Divided>(mesh.tensor());
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
    const Index n = world().size(), r = mesh.tensor().rank();
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
  const auto whole = make_whole<Whole>(SelfCommunicator{});
  const auto part = make_whole<Divided>(mesh.tensor());
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
