// Schedules of pipelines as data: their order, their idle time, what is in memory; and the division of blocks
// among stages.
#include <algorithm>
#include <burrow/distributed/schedule.hpp>
#include <burrow/distributed/stage_division.hpp>
#include <catch2/catch.hpp>
#include <map>
#include <numeric>

using namespace burrow;

namespace {

/// Every micro-batch passes every stage once in each direction, forward first.
void check_complete(const PipelineSchedule& schedule) {
  for (const auto& actions : schedule.actions) {
    std::map<std::pair<Index, int>, int> passes;
    for (const PipelineAction& a : actions) {
      REQUIRE(a.micro_batch >= 0);
      REQUIRE(a.micro_batch < schedule.micro_batches);
      REQUIRE(a.chunk >= 0);
      REQUIRE(a.chunk < schedule.chunks);
      CHECK(passes[{a.micro_batch, a.chunk}]++ == (a.pass == Pass::forward ? 0 : 1));
    }
    CHECK(passes.size() == static_cast<std::size_t>(schedule.micro_batches * schedule.chunks));
    CHECK(actions.size() == 2 * passes.size());
  }
}

}  // namespace

TEST_CASE("1F1B idles (p - 1) / m of the time that it computes, and keeps p micro-batches at most",
          "[distributed]") {
  for (const int p : {1, 2, 3, 4, 8})
    for (const Index m : {1, 2, 3, 4, 7, 8, 16}) {
      INFO(p << " ranks, " << m << " micro-batches");
      const auto schedule = one_forward_one_backward(p, m);
      check_complete(schedule);
      const auto line = timeline(schedule);
      CHECK(line.bubble() == Approx(static_cast<double>(p - 1) / static_cast<double>(m)));
      for (int r = 0; r < p; ++r) CHECK(schedule.most_in_memory(r) == std::min<Index>(p - r, m));
    }
}

TEST_CASE("interleaved stages idle (p - 1) / (v m) of the time", "[distributed]") {
  for (const int p : {1, 2, 3, 4, 8})
    for (const int v : {1, 2, 3, 4})
      for (const Index m : {p, 2 * p, 4 * p}) {
        INFO(p << " ranks with " << v << " stages, " << m << " micro-batches");
        const auto schedule = interleaved(p, v, m);
        check_complete(schedule);
        CHECK(timeline(schedule).bubble() ==
              Approx(static_cast<double>(p - 1) / (static_cast<double>(v) * static_cast<double>(m))));
      }
}

TEST_CASE("stages that take their time are timed as they are", "[distributed]") {
  for (const int p : {1, 2, 4})
    for (const int v : {1, 2}) {
      const auto schedule = pipeline_schedule(p, v, 8);
      const auto stages = static_cast<std::size_t>(schedule.stages());
      std::vector<double> forward(stages, 1), backward(stages, 2);
      CHECK(schedule_length(schedule, forward, backward) == static_cast<double>(timeline(schedule).length));
      forward.back() = backward.back() = 50;  // all others wait for the last
      const double others = static_cast<double>(stages - 1) * 3;
      CHECK(schedule_length(schedule, forward, backward) >= 8 * 100);
      CHECK(schedule_length(schedule, forward, backward) <= 8 * (100 + others));
    }
}

namespace {

/// What the fullest rank has, in blocks.
double fullest(const std::vector<Index>& stages, int ranks, double end) {
  std::vector<double> busy(static_cast<std::size_t>(ranks));
  for (std::size_t s = 0; s < stages.size(); ++s) busy[s % busy.size()] += static_cast<double>(stages[s]);
  busy.back() += end;
  return *std::max_element(busy.begin(), busy.end());
}

/// The least that the fullest of `ranks` can have, where each but the last takes `least` blocks or more.
double least_fullest(Index blocks, int ranks, Index least, double end) {
  if (ranks == 1) return static_cast<double>(blocks) + end;
  double best = 1e9;
  for (Index first = least; first <= blocks; ++first)
    best = std::min(
        best, std::max(static_cast<double>(first), least_fullest(blocks - first, ranks - 1, least, end)));
  return best;
}

}  // namespace

TEST_CASE("blocks are divided so that the fullest rank has least, the end of the model included",
          "[distributed]") {
  for (const int ranks : {1, 2, 3, 4})
    for (const int chunks : {1, 2, 3})
      for (const double end : {0.0, 0.2, 1.5, 4.5, 30.0})
        for (const Index blocks : {12, 13, 17}) {
          const Index count = Index{ranks} * chunks;
          if (blocks < count) continue;
          INFO(ranks << " ranks, " << chunks << " chunks, " << blocks << " blocks, end " << end);
          const auto stages = balanced_stages(blocks, ranks, chunks, end);
          REQUIRE(static_cast<Index>(stages.size()) == count);
          CHECK(std::accumulate(stages.begin(), stages.end(), Index{0}) == blocks);
          CHECK(std::all_of(stages.begin(), stages.end() - 1, [](Index n) { return n >= 1; }));
          CHECK(stages.back() >= (end > 0 ? 0 : 1));
          if (chunks == 1) CHECK(fullest(stages, ranks, end) == Approx(least_fullest(blocks, ranks, 1, end)));
        }
  CHECK(balanced_stages(8, 2, 1, 4.5) == std::vector<Index>{6, 2});
  CHECK(balanced_stages(8, 4, 1, 4.5) == std::vector<Index>{2, 3, 3, 0});
  CHECK(balanced_stages(80, 4, 1, 0.2) == std::vector<Index>{20, 20, 20, 20});
  CHECK(balanced_stages(8, 2, 2, 2.0) == std::vector<Index>{2, 2, 3, 1});
  CHECK_THROWS_WITH(balanced_stages(3, 2, 2, 0), Catch::Contains("3 blocks are not enough for 4 stages"));
}

TEST_CASE("a schedule in which ranks wait for each other is refused", "[distributed]") {
  auto schedule = one_forward_one_backward(2, 2);
  std::swap(schedule.actions[0][0], schedule.actions[0].back());
  CHECK_THROWS_WITH(timeline(schedule), Catch::Contains("rank 0 waits without end"));
  CHECK_THROWS_WITH(interleaved(4, 2, 6), Catch::Contains("in rounds of 4, of which 6 is not a multiple"));
  CHECK_THROWS_WITH(one_forward_one_backward(0, 6), Catch::Contains("each is at least one"));
}

TEST_CASE("a timeline is printed", "[distributed]") {
  CHECK(timeline(one_forward_one_backward(2, 3)).text() ==
        "rank 0  01..00211.22\n"
        "            -- -- --\n"
        "rank 1  .000111222..\n"
        "          -- -- --\n");
}
