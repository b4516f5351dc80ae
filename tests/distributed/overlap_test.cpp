// A bucket of a gradient is handed out when it is complete, and no later than the sweep and those that are
// under way allow.
#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/overlap.hpp>
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/optim/groups.hpp>
#include <burrow/tensor/create.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

namespace overlap_test {  // clang warns of modules without linkage

struct Block {
  Linear<4, 4> only;
  auto operator()(const auto& x) const { return x + tanh(only(x)); }
};

template <class Policy>
struct Network {
  Embedding<6, 4, Policy> table;
  Repeat<Block, 3> blocks;
  Linear<4, 4, Policy> unused;
  /// The table is used first and last, as a tied embedding is.
  auto operator()(const auto& ids) const { return table.scores(blocks(table(ids))); }
};
using Model = Network<Float32<Cpu>>;

struct Handed {
  std::size_t bucket;
  std::vector<float> values;
  bool first_block_is_zero;
};

/// How many exchanges are under way, and were at most.
struct UnderWay {
  Index now = 0, most = 0;
};

/// An exchange that is not done before somebody waits for it.
class Exchange final : public Pending::Work {
 public:
  explicit Exchange(UnderWay& under_way) : under_way_{under_way} {
    under_way.most = std::max(under_way.most, ++under_way.now);
  }
  ~Exchange() override { --under_way_.now; }
  bool advance() override { return false; }
  void wait() override {}

 private:
  UnderWay& under_way_;
};

/// What is handed out, in order, for buckets of `size` elements, of which `most` may be under way.
std::vector<Handed> handed_out(Rematerialization rematerialize, Index size, Index most,
                               std::vector<float>& final) {
  auto model = build<Model>(Key{1});
  model.blocks.rematerialize = rematerialize;
  Gradient gradient{model};
  const auto layout = parameter_groups(model);
  const auto count = static_cast<Index>(gradient.values().size());
  std::vector<Index> bounds;
  for (Index begin = 0; begin < count; begin += size) bounds.push_back(begin);
  bounds.push_back(count);
  detail::PendingList begun;
  std::vector<Handed> handed;
  UnderWay under_way;
  const auto start = [&](std::size_t b) {
    const auto part = gradient.values().subspan(static_cast<std::size_t>(bounds[b]),
                                                static_cast<std::size_t>(bounds[b + 1] - bounds[b]));
    const auto first = gradient.of(model.blocks.blocks[0].only.weight);
    handed.push_back({b, {part.begin(), part.end()}, std::all_of(first.begin(), first.end(), [](float g) {
                        return g == 0;
                      })});
    return Pending{std::make_unique<Exchange>(under_way)};
  };
  std::size_t done = bounds.size() - 1;
  const auto told = [&](std::size_t b) { CHECK(b == --done); };
  detail::OverlappedReduction reduction{std::span<const Index>{bounds}, layout, begun, most, start, told};
  const Tensor<std::int32_t, Shape<3>> ids{0, 5, 2};
  accumulate_gradient(
      model, gradient, [&](Tape& tape) { return sum(square(model(tape.watch(ids)))); }, &reduction);
  reduction.finish();
  reduction.wait();
  CHECK(done == 0);
  CHECK(under_way.most == std::min<Index>(most, static_cast<Index>(handed.size())));
  CHECK(under_way.now == 0);
  final.assign(gradient.values().begin(), gradient.values().end());
  return handed;
}

}  // namespace overlap_test

using namespace overlap_test;

TEST_CASE("buckets of a gradient are handed out from the last to the first, when they are complete",
          "[distributed]") {
  for (const auto rematerialize : {Rematerialization::none(), Rematerialization::selective(),
                                   Rematerialization::block(), Rematerialization::every(2)})
    for (const Index size : {1, 7, 20, 24, 1000}) {
      const Index most = size % 4 + 1;
      INFO("buckets of " << size << ", rematerialised: " << rematerialize.text());
      std::vector<float> final;
      const auto handed = handed_out(rematerialize, size, most, final);
      REQUIRE(handed.size() ==
              (final.size() + static_cast<std::size_t>(size) - 1) / static_cast<std::size_t>(size));
      for (std::size_t i = 0; i < handed.size(); ++i) {
        CHECK(handed[i].bucket == handed.size() - 1 - i);
        const auto begin = handed[i].bucket * static_cast<std::size_t>(size);
        CHECK(std::equal(handed[i].values.begin(), handed[i].values.end(),
                         final.begin() + static_cast<std::ptrdiff_t>(begin)));
      }
    }
}

TEST_CASE("the last block's bucket leaves before the first block has a gradient", "[distributed]") {
  for (const auto rematerialize : {Rematerialization::none(), Rematerialization::selective(),
                                   Rematerialization::block(), Rematerialization::every(2)}) {
    std::vector<float> final;
    const auto handed = handed_out(rematerialize, 20, 4, final);  // a block has 20 parameters
    CHECK(handed[1].first_block_is_zero);
    CHECK(!handed.back().first_block_is_zero);
  }
}
