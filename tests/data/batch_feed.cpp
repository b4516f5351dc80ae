// Batches made ahead: the same as those made when asked for, whatever goes wrong.
#include "gopher_model/data/batch_feed.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <numeric>
#include <thread>

#include <burrow/core/error.hpp>

namespace gopher {
namespace {

TokenDataset counting(std::int32_t count) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), 0);
  return {std::move(tokens), count, static_cast<std::uint64_t>(count)};
}

/// Two samples, then three, and so on, one after another.
struct Plan {
  std::uint64_t next = 0;
  std::int64_t count = 1;
  SampleRange operator()() {
    count = count % 3 + 1;
    const SampleRange range{next, count};
    next += static_cast<std::uint64_t>(count);
    return range;
  }
};

bool same(const Batch& a, const Batch& b) {
  return a.inputs.shape() == b.inputs.shape() && std::ranges::equal(a.inputs.values(), b.inputs.values()) &&
         std::ranges::equal(a.targets.values(), b.targets.values());
}

}  // namespace

TEST_CASE("a feed gives the batches of its plan in order") {
  const Loader loader{counting(1000), 7, burrow::Key{3}};
  for (const std::size_t ahead : {1u, 2u, 5u}) {
    BatchFeed feed{loader, Plan{}, ahead};
    Plan plan;
    for (int i = 0; i < 200; ++i) {
      const Batch batch = feed.next();
      REQUIRE(same(batch, read_batch(loader, plan())));
    }
    CHECK(feed.waited() >= 0);
  }
}

TEST_CASE("a batch holds each sample of its range") {
  const Loader loader{counting(100), 4, burrow::Key{1}};
  const Batch batch = read_batch(loader, {5, 3});
  REQUIRE(batch.inputs.shape()[0] == 3);
  for (std::uint64_t i = 0; i < 3; ++i)
    for (std::uint64_t t = 0; t < 4; ++t) {
      const auto token = static_cast<std::int32_t>((loader.start(5 + i) + t) % 100);
      CHECK(batch.inputs.values()[i * 4 + t] == token);
      CHECK(batch.targets.values()[i * 4 + t] == (token + 1) % 100);
    }
}

TEST_CASE("a feed reads no more ahead than it was told, and ends at once") {
  const Loader loader{counting(100), 4, burrow::Key{1}};
  std::atomic<int> planned{0};
  {
    BatchFeed feed{loader,
                   [&] {
                     ++planned;
                     return SampleRange{0, 1};
                   },
                   2};
    feed.next();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(planned <= 3);
  }
  const int at_end = planned;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(planned == at_end);
}

TEST_CASE("what a plan throws comes after the batches before it, every time") {
  const Loader loader{counting(100), 4, burrow::Key{1}};
  BatchFeed feed{loader, [left = 3]() mutable -> SampleRange {
                   if (left-- == 0) throw burrow::IoError("the disk is gone");
                   return {0, 1};
                 }};
  for (int i = 0; i < 3; ++i) CHECK_NOTHROW(feed.next());
  for (int i = 0; i < 2; ++i) CHECK_THROWS_WITH(feed.next(), "the disk is gone");
}

TEST_CASE("the time that a step waits for its batch is counted") {
  const Loader loader{counting(100), 4, burrow::Key{1}};
  BatchFeed feed{loader, [] {
                   std::this_thread::sleep_for(std::chrono::milliseconds(20));
                   return SampleRange{0, 1};
                 }};
  feed.next();
  CHECK(feed.waited() > 0.005);
}

}  // namespace gopher
