// Gathers, sums by index, positions of extremes and dropout on the device against those on the CPU.
#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include <burrow/ops/argmax/cuda.cuh>
#include <burrow/ops/dropout/cuda.cuh>
#include <burrow/ops/embedding/embedding.hpp>
#include <burrow/ops/gather/cuda.cuh>

#include "tests/cuda/device_array.hpp"

namespace {

using namespace burrow;
using detail::DenseTarget;
using detail::Lines;
using test::Both;
using test::on_both;
using test::tolerance;

/// `count` ids below the limit, some far more often than others.
template <class I>
std::vector<I> some_ids(Index count, Index limit) {
  std::vector<I> ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto id = static_cast<Index>(Key{7}.bits(i) % static_cast<std::uint32_t>(limit));
    ids[i] = static_cast<I>(i % 3 == 0 ? limit / 2 : id);
  }
  return ids;
}

struct Case {
  Lines lines;
  Index count;
};
const Case cases[] = {{{1, 7, 64}, 33}, {{1, 40000, 8}, 3000}, {{3, 5, 9}, 20}, {{2, 300, 1}, 1500},
                      {{1, 1, 4}, 40},  {{4, 6, 3}, 0},        {{0, 3, 2}, 5}};

}  // namespace

TEMPLATE_TEST_CASE("rows are gathered, and their gradients summed in order", "", float, bf16) {
  using T = TestType;
  for (const auto& [lines, count] : cases) {
    Both<std::int32_t> ids{some_ids<std::int32_t>(count, lines.extent)};
    const Index size = lines.outer * lines.extent * lines.inner, taken = lines.outer * count * lines.inner;
    Both<float> table{size, 1}, dtable{size, 2}, sum{size, 3};
    Both<T> y{taken, 4}, dy{taken, 5};
    on_both([&](auto d) {
      gather_forward(d, lines, ids.read(d), count, table.read(d), y.at(d));
      scatter_sum(d, lines, ids.read(d), count, dy.read(d), DenseTarget<float>{dtable.at(d), false});
      scatter_sum(d, lines, ids.read(d), count, dy.read(d), DenseTarget<float>{sum.at(d), true});
    });
    INFO(lines.outer << " x " << lines.extent << " x " << lines.inner << ", " << count << " ids");
    CHECK(y.device.values() == y.host);
    CHECK(dtable.device.values() == dtable.host);  // the same order gives the same bits
    CHECK(sum.device.values() == sum.host);
  }
}

TEST_CASE("positions are sorted by their ids, of any integer type") {
  const auto check = []<class I>(I, Index limit) {
    const Index count = 2500;
    const std::vector<I> values = some_ids<I>(count, limit);
    std::vector<Index> expected(values.size());
    std::iota(expected.begin(), expected.end(), Index{0});
    const auto id = [&](Index i) { return values[static_cast<std::size_t>(i)]; };
    std::stable_sort(expected.begin(), expected.end(), [&](Index i, Index j) { return id(i) < id(j); });
    Both<I> ids{values};
    const auto sorted = positions_by_id(Cuda{}, ids.read(Cuda{}), count, limit);
    std::vector<detail::PlacedId> order(static_cast<std::size_t>(count));
    detail::copy_bytes(Cuda{}, Cpu{}, order.data(), sorted.data(), count * Index{sizeof(detail::PlacedId)});
    for (std::size_t k = 0; k < order.size(); ++k) REQUIRE(Index{order[k].position} == expected[k]);
  };
  check(std::int64_t{}, 70000);
  check(std::int32_t{}, 1 << 30);
  check(std::uint16_t{}, 60000);
  check(std::uint8_t{}, 200);
}

TEMPLATE_TEST_CASE("elements are taken along an axis, and their gradients summed", "", float, bf16) {
  using T = TestType;
  for (const auto& [lines, count] : cases) {
    const Index size = lines.outer * lines.extent * lines.inner, taken = lines.outer * count * lines.inner;
    Both<std::int64_t> ids{some_ids<std::int64_t>(taken, lines.extent)};
    Both<T> x{size, 1}, dx{size, 2}, y{taken, 3}, dy{taken, 4};
    on_both([&](auto d) {
      take_along_forward(d, lines, ids.read(d), count, x.read(d), y.at(d));
      take_along_backward(d, lines, ids.read(d), count, dy.read(d), DenseTarget<T>{dx.at(d), true});
    });
    CHECK(y.device.values() == y.host);
    CHECK(dx.same());
  }
}

TEST_CASE("an index out of range is found on the device, and named as on the CPU") {
  const auto refusal = [](const std::vector<std::int32_t>& ids, bool negative_allowed) {
    Both<std::int32_t> both{ids};
    const Shape<dyn, 2> shape{{static_cast<Index>(ids.size()) / 2, 2}};
    std::string texts[2];
    Index counts[2] = {-1, -1};
    int i = 0;
    on_both([&](auto d) {
      try {
        const Location where = Location::here();
        if (negative_allowed)
          counts[i] = Index{count_indices(d, "embedding", "id", both.read(d), shape, 10, where)};
        else
          check_indices(d, "embedding", "id", both.read(d), shape, 10, false, where);
        cuda::synchronize();
      } catch (const ValueError& error) {
        texts[i] = error.what();
      }
      ++i;
    });
    CHECK(texts[0] == texts[1]);
    CHECK(counts[0] == counts[1]);
    return texts[0];
  };
  CHECK(refusal({1, 2, 3, 9}, false).empty());
  CHECK(refusal({1, -2, 3, -1}, true).empty());
  CHECK(refusal({}, true).empty());
  CHECK(refusal({1, 12, 3, 11}, true).find("id 12 at position (0, 1)") != std::string::npos);
  CHECK(refusal({1, 2, -3, 11}, false).find("id -3 at position (1, 0)") != std::string::npos);
}

TEMPLATE_TEST_CASE("positions of extremes: the first of equal ones, NaN before numbers", "", float, bf16,
                   std::int32_t) {
  using T = TestType;
  for (const auto& [lines, count] : cases) {
    if (lines.extent == 0) continue;
    const Index size = lines.outer * lines.extent * lines.inner;
    std::vector<T> values(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<T>(static_cast<int>(Key{3}.bits(i) % 20));
      if constexpr (Real<T>)
        if (Key{4}.bits(i) % 50 == 0) values[i] = static_cast<T>(NAN);
    }
    Both<T> x{values};
    Both<std::int64_t> largest{lines.outer * lines.inner, 1}, smallest{lines.outer * lines.inner, 2};
    on_both([&](auto d) {
      detail::chosen_positions<detail::MaximumOf>(d, lines, x.read(d), largest.at(d));
      detail::chosen_positions<detail::MinimumOf>(d, lines, x.read(d), smallest.at(d));
    });
    CHECK(largest.device.values() == largest.host);
    CHECK(smallest.device.values() == smallest.host);
  }
}

TEMPLATE_TEST_CASE("dropout drops the same elements on both devices", "", float, bf16) {
  using T = TestType;
  for (const Index count : {0, 1, 6, 1000, 1003})
    for (const Index shift : {0, 1})
      for (const Index first : {0, 4, 7}) {
        Both<T> x{count, 1, shift}, y{count, 2, shift}, sum{count, 3, shift};
        on_both([&](auto d) {
          detail::drop(d, detail::Given<Key>{Key{5}}, 0.3, count, x.read(d), DenseTarget<T>{y.at(d), false},
                       first);
          detail::drop(d, detail::Given<Key>{Key{5}}, 0.3, count, x.read(d), DenseTarget<T>{sum.at(d), true},
                       first);
        });
        CHECK(y.device.values() == y.host);
        CHECK(sum.same());
      }
}
