// Every exchange against a loop over what each rank had, for sizes that divide and sizes that do not.
#include <burrow/core/key.hpp>
#include <catch2/catch.hpp>
#include <numeric>

#include "tests/mpi/world.hpp"

using namespace burrow;
using mpi_test::world;

namespace {

const std::vector<Index> sizes{0, 1, 2, 3, 5, 7, 64, 1000, 4097, 70'001};

/// What rank r has at index i: the same on every rank that asks.
template <class T>
T value(int r, Index i) {
  const float x = Key{9}.fold_in(static_cast<std::uint64_t>(r)).normal(static_cast<std::uint64_t>(i));
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<int>(x * 10) & 31);
  else
    return static_cast<T>(x);
}

template <class T>
std::vector<T> values(int r, Index count) {
  std::vector<T> v(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i) v[static_cast<std::size_t>(i)] = value<T>(r, i);
  return v;
}

template <class T>
T reduced(Reduction by, int ranks, Index i) {
  using C = compute_type<T>;
  C result = static_cast<C>(value<T>(0, i));
  for (int r = 1; r < ranks; ++r) {
    const C next = static_cast<C>(value<T>(r, i));
    if (by == Reduction::sum) result = static_cast<C>(result + next);
    if (by == Reduction::max) result = std::max(result, next);
    if (by == Reduction::min) result = std::min(result, next);
  }
  return static_cast<T>(result);
}

template <class T>
void check_reductions(Index count) {
  const auto& w = world();
  for (const Reduction by : {Reduction::sum, Reduction::max, Reduction::min}) {
    auto all = values<T>(w.rank(), count);
    w.all_reduce(std::span{all}, by);
    bool same = true;
    for (Index i = 0; i < count; ++i) same &= all[static_cast<std::size_t>(i)] == reduced<T>(by, w.size(), i);
    CHECK(same);

    const Partition partition{count, w.size()};
    const auto mine = values<T>(w.rank(), count);
    std::vector<T> own(static_cast<std::size_t>(partition.size(w.rank())));
    w.reduce_scatter<T>(mine, std::span{own}, partition, by);
    same = true;
    for (Index i = partition.begin(w.rank()); i < partition.end(w.rank()); ++i)
      same &=
          own[static_cast<std::size_t>(i - partition.begin(w.rank()))] == all[static_cast<std::size_t>(i)];
    CHECK(same);
  }
}

template <class T>
void check_copies(Index count) {
  const auto& w = world();
  const Partition partition{count, w.size()};
  const auto whole = values<T>(100, count);
  std::vector<T> gathered(whole.size());
  w.all_gather<T>(partition.part(std::span{whole}, w.rank()), std::span{gathered}, partition);
  CHECK(gathered == whole);

  for (int root = 0; root < w.size(); ++root) {
    auto sent = values<T>(w.rank(), count);
    w.broadcast(std::span{sent}, root);
    CHECK(sent == values<T>(root, count));
  }

  std::vector<T> blocks, expected;
  for (int r = 0; r < w.size(); ++r) {
    const auto to = values<T>(w.rank() * 10 + r, count), from = values<T>(r * 10 + w.rank(), count);
    blocks.insert(blocks.end(), to.begin(), to.end());
    expected.insert(expected.end(), from.begin(), from.end());
  }
  std::vector<T> received(blocks.size());
  w.all_to_all<T>(blocks, std::span{received});
  CHECK(received == expected);
}

template <class T>
void check_type(Index count) {
  INFO(dtype_name<T>() << " x " << count);
  check_reductions<T>(count);
  check_copies<T>(count);
}

/// All sizes of messages and segments that cut the buffers differently.
template <class Body>
void with_message_sizes(const Body& body) {
  body();
  world().set_message_sizes(1 << 10, 4096);
  body();
  world().set_message_sizes(Index{1} << 30, Index{256} << 10);
}

}  // namespace

TEST_CASE("every rank has what a loop over the ranks gives", "[mpi]") {
  with_message_sizes([] {
    for (const Index count : sizes) {
      check_type<float>(count);
      check_type<double>(count);
      check_type<bf16>(count);
      check_type<std::int64_t>(count);
      check_type<std::uint8_t>(count);
    }
  });
}

TEST_CASE("sums of bf16 are made in fp32 and rounded once", "[mpi]") {
  const auto& w = world();
  const bf16 mine{w.rank() == 0 ? 256.0f : 1.0f};  // 256 + 1 is 256 in bf16
  CHECK(static_cast<float>(w.all_reduce(mine)) == static_cast<float>(bf16{256.0f + float(w.size() - 1)}));
}

TEST_CASE("the largest and least value with a NaN is NaN", "[mpi]") {
  const auto& w = world();
  const float mine = w.rank() == w.size() - 1 ? std::nanf("") : 1.0f;
  CHECK(std::isnan(w.all_reduce(mine, Reduction::max)));
  CHECK(std::isnan(w.all_reduce(mine, Reduction::min)));
}

TEST_CASE("parts may be uneven, empty, and lie in the whole", "[mpi]") {
  const auto& w = world();
  std::vector<Index> bounds{0};
  for (int r = 0; r < w.size(); ++r) bounds.push_back(bounds.back() + (r % 2 == 0 ? 1000 * r + 3 : 0));
  const Partition partition{bounds};
  auto all = values<float>(w.rank(), partition.count());
  const auto before = all;
  const auto own = partition.part(std::span{all}, w.rank());
  w.reduce_scatter<float>(all, own, partition);
  for (Index i = 0; i < partition.count(); ++i) {
    const bool mine = i >= partition.begin(w.rank()) && i < partition.end(w.rank());
    const auto at = static_cast<std::size_t>(i);
    REQUIRE(all[at] == (mine ? reduced<float>(Reduction::sum, w.size(), i) : before[at]));
  }
  w.all_gather<float>(own, std::span{all}, partition);
  for (Index i = 0; i < partition.count(); ++i)
    REQUIRE(all[static_cast<std::size_t>(i)] == reduced<float>(Reduction::sum, w.size(), i));
}

TEST_CASE("several exchanges go on at once", "[mpi]") {
  const auto& w = world();
  std::vector<std::vector<float>> buffers;
  for (Index i = 0; i < 5; ++i) buffers.push_back(values<float>(w.rank(), 30'000 + i));
  {
    std::vector<Pending> sums;
    for (auto& b : buffers) sums.push_back(w.start_all_reduce(std::span{b}));
    sums[3].wait();
    while (!sums[1].ready()) {
    }
  }  // the others are waited for here
  for (const auto& b : buffers)
    for (std::size_t i = 0; i < b.size(); ++i)
      REQUIRE(b[i] == reduced<float>(Reduction::sum, w.size(), static_cast<Index>(i)));
}

namespace {

/// The scratch memory that reductions of so many elements take while they are under way: what plans count for
/// them, and records of their messages.
template <class T>
void check_scratch(Index count) {
  const auto& w = world();
  const auto scratch = [] {
    const auto memory = memory_statistics();
    return memory.bytes_in_use - memory.value_bytes_in_use;
  };
  const Partition parts{count, w.size()};
  const detail::ReductionSegments planned{parts.size(0), sizeof(T), w.size(),
                                          detail::Group::usual_segment_bytes};
  const Index expected = w.size() == 1 ? 0 : detail::HostPool::bytes_of_block(planned.scratch_bytes);
  auto x = values<T>(w.rank(), count);
  const Index before = scratch();
  const auto check = [&](const Pending&) {
    const Index taken = scratch() - before;
    CHECK(taken >= expected);
    CHECK(taken <= expected + 4096);
  };
  check(w.start_all_reduce(std::span{x}));
  check(w.start_reduce_scatter(x, parts.part(std::span{x}, w.rank()), parts));
  CHECK(scratch() == before);
}

}  // namespace

TEST_CASE("a reduction under way takes the scratch memory that plans count, and few records", "[mpi]") {
  for (const Index count : {Index{5}, Index{70'001}, Index{1} << 20}) {
    INFO(count);
    check_scratch<float>(count);
    check_scratch<bf16>(count);
  }
}

TEST_CASE("messages between two ranks keep their order", "[mpi]") {
  const auto& w = world();
  const int next = (w.rank() + 1) % w.size(), before = (w.rank() + w.size() - 1) % w.size();
  if (w.size() == 1) {
    CHECK_THROWS_WITH(w.send(std::span<const float>{}, 0),
                      Catch::Contains("send: rank 0 is not another rank of this group of 1"));
    return;
  }
  const std::vector<int> first(1000, w.rank()), second(3, 7 * w.rank());
  auto sent1 = w.start_send(std::span{first}, next), sent2 = w.start_send(std::span{second}, next);
  std::vector<int> got1(1000), got2(3);
  w.receive(std::span{got1}, before);
  w.receive(std::span{got2}, before);
  CHECK(got1 == std::vector<int>(1000, before));
  CHECK(got2 == std::vector<int>(3, 7 * before));
}

TEST_CASE("nobody leaves a barrier before all have come", "[mpi]") {
  const auto& w = world();
  for (int late = 0; late < w.size(); ++late) {
    const double called = MPI_Wtime();
    if (w.rank() == late) {
      timespec nap{0, 20'000'000};
      nanosleep(&nap, nullptr);
    }
    w.barrier();
    CHECK(w.all_reduce(MPI_Wtime() - called, Reduction::max) >= 0.02);
  }
}

TEST_CASE("a split gives the ranks of one colour, ordered by key", "[mpi]") {
  const auto& w = world();
  const auto part = w.split(w.rank() % 2, -w.rank());
  CHECK(part.size() == (w.size() + 1 - w.rank() % 2) / 2);
  CHECK(part.rank() == part.size() - 1 - w.rank() / 2);
  int sum = 0;
  for (int r = w.rank() % 2; r < w.size(); r += 2) sum += r;
  CHECK(part.all_reduce(w.rank()) == sum);
  CHECK(w.traffic()[Collective::split].calls == 0);
  CHECK(w.all_reduce(1) == w.size());
}

TEST_CASE("what is sent is the least that is possible", "[mpi]") {
  const auto& w = world();
  const Index n = w.size(), count = 1001, bytes = count * Index{sizeof(float)};
  const auto sent = [&](Collective c) {
    const auto traffic = w.traffic();
    CHECK(traffic[c].calls == (w.size() > 1 ? 1 : 0));
    CHECK(traffic.total().bytes == traffic[c].bytes);
    const Index mine = traffic[c].bytes;
    const Index all = w.all_reduce(mine);
    w.reset_traffic();
    return std::pair{mine, all};
  };
  const Partition partition{count, w.size()};
  auto x = values<float>(w.rank(), count);
  std::vector<float> own(static_cast<std::size_t>(partition.size(w.rank())));
  w.reset_traffic();

  w.all_reduce(std::span{x});
  CHECK(sent(Collective::all_reduce).second == 2 * (n - 1) * bytes);
  w.reduce_scatter<float>(x, std::span{own}, partition);
  const auto [mine, all] = sent(Collective::reduce_scatter);
  CHECK(mine == bytes - partition.size(w.rank()) * Index{sizeof(float)});
  CHECK(all == (n - 1) * bytes);
  w.all_gather<float>(own, std::span{x}, partition);
  CHECK(sent(Collective::all_gather).second == (n - 1) * bytes);
  w.broadcast(std::span{x}, 0);
  CHECK(sent(Collective::broadcast).second == (n - 1) * bytes);
  std::vector<float> blocks(static_cast<std::size_t>(n * 10)), received(blocks.size());
  w.all_to_all<float>(blocks, std::span{received});
  CHECK(sent(Collective::all_to_all).first == (n - 1) * 40);
}

TEST_CASE("where calls are compared, all ranks name the one that differs, and go on in step", "[mpi]") {
  const auto w = world().split(0, world().rank());
  w.check_calls(true);
  const bool differs = w.rank() == w.size() - 1;
  const std::string name = "rank " + std::to_string(w.size() - 1);
  const auto check = [&](const auto& usual, const auto& other, const std::string& text) {
    const auto call = [&] { differs ? other() : usual(); };
    if (w.size() == 1) return call();
    CHECK_THROWS_WITH(call(), Catch::Contains("collectives differ: " + name + " calls " + text + " [") &&
                                  Catch::Contains("collectives_test.cpp:"));
  };
  std::vector<float> x(8);
  std::vector<std::int32_t> whole(8);
  std::vector<bf16> narrow(8);
  std::vector<half> halves(8);
  const auto sum = [&] { w.all_reduce(std::span{x}); };
  check(
      sum, [&] { w.barrier(); }, "barrier");
  check(
      sum, [&] { (void)w.split(0, 0); }, "split");
  check(
      sum, [&] { w.all_reduce(std::span{x}.first(7)); }, "all_reduce (sum) of 7 float");
  check(
      sum, [&] { w.all_reduce(std::span{x}, Reduction::max); }, "all_reduce (max) of 8 float");
  check(
      sum, [&] { w.all_reduce(std::span{whole}); }, "all_reduce (sum) of 8 int32");
  check([&] { w.all_reduce(std::span{narrow}); }, [&] { w.all_reduce(std::span{halves}); },
        "all_reduce (sum) of 8 half");
  check([&] { w.broadcast(std::span{x}, 0); }, [&] { w.broadcast(std::span{x}, w.size() - 1); },
        "broadcast of 8 float from " + name);
  std::vector<Index> bounds(static_cast<std::size_t>(w.size() + 1), 8);  // all for rank 0
  bounds[0] = 0;
  const auto scatter = [&](const Partition& parts) {
    w.reduce_scatter<float>(x, parts.part(std::span{x}, w.rank()), parts);
  };
  check(
      [&] {
        scatter({8, w.size()});
      },
      [&] { scatter(Partition{bounds}); }, "reduce_scatter (sum) of 8 float");

  CHECK(sizeof(detail::CallRecord) == 120);  // what a rank sends for it to each other one
  const Traffic before = w.traffic();
  CHECK(w.all_reduce(1) == w.size());
  const Traffic compared = w.traffic() - before;
  w.check_calls(false);
  CHECK(w.all_reduce(1) == w.size());
  CHECK((w.traffic() - before - compared).total().bytes == compared.total().bytes);
}

TEST_CASE("buffers of the wrong size are refused", "[mpi]") {
  const auto& w = world();
  std::vector<float> x(10), own(11);
  CHECK_THROWS_WITH(w.reduce_scatter<float>(x, std::span{own}, Partition{10, w.size()}),
                    Catch::Contains("reduce_scatter: the own part has 11 elements, not"));
  CHECK_THROWS_WITH(w.all_gather<float>(own, std::span{x}, Partition{10, w.size() + 1}),
                    Catch::Contains("all_gather: a partition among"));
  CHECK_THROWS_WITH(w.broadcast(std::span{x}, w.size()), Catch::Contains("broadcast: rank"));
}
