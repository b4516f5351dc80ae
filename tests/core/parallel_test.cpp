#include <burrow/core/parallel.hpp>
#include <catch2/catch.hpp>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "tests/threads.hpp"

using namespace burrow;

namespace {

std::vector<int> visits(Index count, Index grain) {
  std::vector<int> counts(static_cast<std::size_t>(count));
  parallel_for(count, grain, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) ++counts[static_cast<std::size_t>(i)];
  });
  return counts;
}

bool all_once(const std::vector<int>& counts) {
  return std::all_of(counts.begin(), counts.end(), [](int n) { return n == 1; });
}

}  // namespace

TEST_CASE("parallel_for covers every index exactly once, for any number of threads") {
  for (const int count : {1, 2, 3, 7, 16}) {
    const Threads scope{count};
    REQUIRE(threads() == count);
    for (const Index size : {0, 1, 2, 3, 17, 100, 1000, 12345})
      for (const Index grain : {0, 1, 7, 100, 100000}) CHECK(all_once(visits(size, grain)));
  }
}

TEST_CASE("Pieces are not shorter than the grain, and empty loops do not call") {
  const Threads scope{4};
  std::mutex mutex;
  std::vector<Index> lengths;
  parallel_for(1000, 90, [&](Index begin, Index end) {
    const std::lock_guard lock{mutex};
    lengths.push_back(end - begin);
  });
  CHECK(*std::min_element(lengths.begin(), lengths.end()) >= 90);
  CHECK(std::accumulate(lengths.begin(), lengths.end(), Index{0}) == 1000);
  parallel_for(0, 1, [](Index, Index) { FAIL("called"); });
  parallel_tasks(0, [](Index) { FAIL("called"); });
}

TEST_CASE("A loop inside a loop is complete") {
  for (const int count : {1, 2, 5}) {
    const Threads scope{count};
    std::vector<std::vector<int>> rows(20);
    parallel_tasks(20, [&](Index r) { rows[static_cast<std::size_t>(r)] = visits(500, 1); });
    for (const auto& row : rows) CHECK((row.size() == 500 && all_once(row)));
  }
}

TEST_CASE("An exception reaches the caller, and the threads serve on") {
  for (const int count : {1, 2, 5}) {
    const Threads scope{count};
    for (int repetition = 0; repetition < 20; ++repetition) {
      const auto failing = [](Index i) {
        if (i == 13) throw std::runtime_error("thirteen");
      };
      CHECK_THROWS_WITH(parallel_tasks(40, failing), "thirteen");
      CHECK(all_once(visits(100, 1)));
    }
  }
}

TEST_CASE("The number of threads can change between loops") {
  const Threads scope{1};
  for (const int count : {4, 1, 3, 2, 8, 0, 2}) {
    set_threads(count);
    CHECK(threads() == std::max(count, 1));
    for (int repetition = 0; repetition < 10; ++repetition) CHECK(all_once(visits(64, 1)));
  }
}

TEST_CASE("Tasks really run on several threads") {
  const Threads scope{3};
  std::atomic<int> waiting{0};
  parallel_tasks(3, [&](Index) {
    ++waiting;
    while (waiting < 3) std::this_thread::yield();
  });
  CHECK(waiting == 3);
}

TEST_CASE("Loops of several callers do not disturb each other") {
  const Threads scope{3};
  std::vector<int> wrong(4);
  std::vector<std::thread> callers;
  for (std::size_t c = 0; c < wrong.size(); ++c)
    callers.emplace_back([&wrong, c] {
      for (int repetition = 0; repetition < 50; ++repetition)
        if (!all_once(visits(200, 1))) ++wrong[c];
    });
  for (auto& caller : callers) caller.join();
  CHECK(wrong == std::vector<int>(4));
}
