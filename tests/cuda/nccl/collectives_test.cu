// GPUs that exchange through NCCL give what the processes' own collectives give: on 1 to 4 ranks, every kind
// of exchange, even and ragged parts, fp32, bf16 and integers.
#include <catch2/catch.hpp>

#include <vector>

#include <burrow/core/for_each.cuh>
#include <burrow/distributed/mesh.hpp>

#include "tests/cuda/nccl/gpus.hpp"

namespace {

using namespace burrow;
using nccl_test::gpus;

/// Values on the device.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values)
      : buffer_{static_cast<Index>(values.size() * sizeof(T))}, count_{values.size()} {
    detail::copy_bytes(Cpu{}, Cuda{}, buffer_.data(), values.data(), bytes());
  }
  std::span<T> span() const { return {static_cast<T*>(buffer_.data()), count_}; }
  std::span<T> span(Index begin, Index count) const {
    return span().subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
  }
  std::vector<T> values() const {
    std::vector<T> result(count_);
    detail::copy_bytes(Cuda{}, Cpu{}, result.data(), buffer_.data(), bytes());
    return result;
  }

 private:
  Index bytes() const { return static_cast<Index>(count_ * sizeof(T)); }
  Buffer<Cuda> buffer_;
  std::size_t count_;
};

/// What rank r starts with: small whole numbers, whose sums are exact in every type.
template <class T>
std::vector<T> initial(std::size_t count, int rank) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<T>(static_cast<float>((i * 7 + static_cast<std::size_t>(rank) * 5) % 11));
  return values;
}

struct Twice {
  float* values;
  constexpr void operator()(Index i) const { values[i] *= 2; }
};

}  // namespace

TEMPLATE_TEST_CASE("reductions over GPUs are those of the processes", "", float, bf16, std::int32_t) {
  const auto& world = mpi_test::world();
  for (const auto by : {Reduction::sum, Reduction::max, Reduction::min}) {
    auto expected = initial<TestType>(37, world.rank());
    const OnDevice<TestType> values{expected};
    world.all_reduce(std::span<TestType>{expected}, by);
    gpus().all_reduce(values.span(), by);
    CHECK(values.values() == expected);
  }
}

TEST_CASE("parts of sums go to their ranks, and back to all") {
  const auto& world = mpi_test::world();
  for (const Index count : {Index{8} * world.size(), Index{13}, Index{3}}) {
    const Partition parts{count, world.size()};
    auto sums = initial<float>(static_cast<std::size_t>(count), world.rank());
    const OnDevice<float> values{sums};
    world.all_reduce(std::span<float>{sums});
    const auto own = values.span(parts.begin(world.rank()), parts.size(world.rank()));
    gpus().reduce_scatter<float>(values.span(), own, parts);
    gpus().all_gather<float>(own, values.span(), parts);
    CHECK(values.values() == sums);
  }
}

TEST_CASE("values go from one GPU to all, from each to each, and around") {
  const auto& world = mpi_test::world();
  const int ranks = world.size(), rank = world.rank();
  auto expected = initial<float>(12, rank);
  const OnDevice<float> spread{expected};
  world.broadcast(std::span<float>{expected}, ranks - 1);
  gpus().broadcast(spread.span(), ranks - 1);
  CHECK(spread.values() == expected);

  const auto sent = initial<std::int64_t>(static_cast<std::size_t>(3 * ranks), rank);
  std::vector<std::int64_t> received(sent.size());
  const OnDevice<std::int64_t> from{sent}, to{received};
  world.all_to_all<std::int64_t>(sent, std::span<std::int64_t>{received});
  gpus().all_to_all<std::int64_t>(from.span(), to.span());
  CHECK(to.values() == received);

  if (ranks == 1) return;
  const OnDevice<float> mine{{static_cast<float>(rank)}}, others{{-1.0f}};
  if (rank % 2 == 0) {
    if (rank + 1 < ranks) gpus().send(mine.span(), rank + 1);
  } else {
    gpus().receive(others.span(), rank - 1);
    CHECK(others.values()[0] == static_cast<float>(rank - 1));
  }
}

TEST_CASE("GPUs make a mesh, wait for each other, and count what they send") {
  const auto& world = mpi_test::world();
  const int ranks = world.size();
  const auto mesh = Mesh{gpus(), {.data = ranks}};
  CHECK(mesh.data().size() == ranks);
  CHECK(mesh.data().all_reduce(1) == ranks);
  CHECK(mesh.tensor().size() == 1);
  gpus().barrier();
  gpus().reset_traffic();
  const OnDevice<float> values{initial<float>(static_cast<std::size_t>(64 * ranks), 0)};
  gpus().all_reduce(values.span());
  CHECK(gpus().traffic()[Collective::all_reduce].bytes == 2 * 64 * 4 * (ranks - 1));
}

TEST_CASE("exchanges of a captured step are made in every replay") {
  const auto& world = mpi_test::world();
  const int ranks = world.size();
  const OnDevice<float> values{initial<float>(37, world.rank())}, own{std::vector<float>(37)};
  const Partition parts{37, ranks};
  cuda::CapturedStep step{[&] {
    detail::copy_bytes(Cuda{}, Cuda{}, own.span().data(), values.span().data(), 37 * Index{sizeof(float)});
    Pending sums = gpus().start_all_reduce(own.span());
    CHECK_NOTHROW(sums.ready());
    sums.wait();
    gpus().all_gather<float>(own.span(parts.begin(world.rank()), parts.size(world.rank())), own.span(),
                             parts);
    detail::for_each_index("twice", 37, Twice{own.span().data()});
  }};
  gpus().reset_traffic();
  for (int round = 0; round < 4; ++round) {
    auto expected = initial<float>(37, world.rank() + round);
    detail::copy_bytes(Cpu{}, Cuda{}, values.span().data(), expected.data(), 37 * Index{sizeof(float)});
    step();
    world.all_reduce(std::span<float>{expected});
    for (float& x : expected) x *= 2;
    CHECK(own.values() == expected);
    CHECK(gpus().traffic()[Collective::all_reduce].calls == round + 1);
  }
  cuda::CapturedStep number{[&] { return gpus().all_reduce(1); }};
  CHECK(number() == ranks);
  CHECK_THROWS_WITH(number(), Catch::Contains("a copy to the device in a step that is captured"));
}

TEST_CASE("a GPU that is alone copies and sends nothing") {
  const NcclCommunicator alone;
  const Partition all{5, 1};
  const std::vector<float> expected{1, 2, 3, 4, 5};
  const OnDevice<float> from{expected}, to{std::vector<float>(5)};
  alone.all_reduce(from.span());
  alone.reduce_scatter<float>(from.span(), to.span(), all);
  CHECK(to.values() == expected);
  const OnDevice<float> gathered{std::vector<float>(5)}, exchanged{std::vector<float>(5)};
  alone.all_gather<float>(from.span(), gathered.span(), all);
  alone.all_to_all<float>(gathered.span(), exchanged.span());
  alone.broadcast(exchanged.span(), 0);
  CHECK(exchanged.values() == expected);
  CHECK(alone.split(0, 0).all_reduce(7) == 7);
  alone.barrier();
  CHECK(alone.traffic().total().calls == 0);
}

TEST_CASE("calls that do not fit the group are refused") {
  const OnDevice<float> values{std::vector<float>(5)};
  const Partition wrong{5, gpus().size() + 1};
  CHECK_THROWS_AS(gpus().all_gather<float>(values.span(), values.span(), wrong), ShapeError);
  CHECK_THROWS_AS(gpus().send(values.span(), gpus().rank()), ValueError);
  CHECK_THROWS_AS(gpus().broadcast(values.span(), gpus().size()), ValueError);
}
