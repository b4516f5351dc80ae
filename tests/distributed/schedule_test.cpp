// Schedules of pipelines as data: their order, their idle time, what is in memory.
#include <burrow/distributed/schedule.hpp>
#include <catch2/catch.hpp>
#include <map>

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
      for (int r = 0; r < p; ++r) CHECK(line.most_in_memory(r) == std::min<Index>(p - r, m));
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
