// Rotary positions, running sums and products, and sorting on the device against those on the CPU.
#include <catch2/catch.hpp>

#include <burrow/ops/rotary/cuda.cuh>
#include <burrow/ops/scan/cuda.cuh>
#include <burrow/ops/sort/cuda.cuh>

#include "tests/cuda/device_array.hpp"

namespace {

using namespace burrow;
using detail::DenseTarget;
using detail::Lines;
using detail::Rows;
using test::Both;
using test::on_both;

const Lines cases[] = {{1, 1, 1}, {2, 30, 5}, {7, 64, 1}, {0, 4, 3}, {3, 0, 2}};

Index size_of(const Lines& lines) { return lines.outer * lines.extent * lines.inner; }

}  // namespace

TEMPLATE_TEST_CASE("rotary positions, forwards and backwards", "", float, double, bf16) {
  using T = TestType;
  using C = compute_type<T>;
  for (const Index head_width : {2, 6, 32})
    for (const Index heads : {1, 3}) {
      const Rows rows{10, heads * head_width};
      Both<C> angles{5 * head_width, 1};
      Both<T> x{rows.size(), 2}, y{rows.size(), 3}, dx{rows.size(), 4};
      on_both([&](auto d) {
        rotate(d, rows, Index{5}, head_width, angles.read(d), false, x.read(d),
               DenseTarget<T>{y.at(d), false});
        rotate(d, rows, Index{5}, head_width, angles.read(d), true, x.read(d),
               DenseTarget<T>{dx.at(d), true});
      });
      CHECK(y.same());
      CHECK(dx.same());
    }
}

TEMPLATE_TEST_CASE("running sums and products with their gradients", "", float, double, bf16) {
  using T = TestType;
  for (const Lines& lines : cases) {
    Both<T> x{size_of(lines), 1}, sums{size_of(lines), 2}, products{size_of(lines), 3}, dx{size_of(lines), 4};
    on_both([&](auto d) {
      detail::scan<detail::SumOf, true>(d, lines, x.read(d), DenseTarget<T>{sums.at(d), true});
      detail::scan<detail::ProductOf, false>(d, lines, x.read(d), DenseTarget<T>{products.at(d), false});
      cumprod_backward(d, lines, x.read(d), products.read(d), sums.read(d), DenseTarget<T>{dx.at(d), true});
    });
    CHECK(sums.same());
    CHECK(products.same());
    CHECK(dx.same());
  }
}

TEMPLATE_TEST_CASE("elements are ranked in both orders", "", float, bf16, std::int32_t) {
  using T = TestType;
  for (const Lines& lines : cases)
    for (const Index count : {lines.extent, std::min<Index>(lines.extent, 3)}) {
      std::vector<T> values(static_cast<std::size_t>(size_of(lines)));
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<T>(static_cast<int>(Key{3}.bits(i) % 20));
        if constexpr (Real<T>)
          if (Key{4}.bits(i) % 30 == 0) values[i] = static_cast<T>(NAN);
      }
      Both<T> x{values};
      Both<std::int64_t> up{lines.outer * count * lines.inner, 1}, down{lines.outer * count * lines.inner, 2};
      on_both([&](auto d) {
        detail::places_by_rank<detail::Ascending>(d, lines, count, x.read(d), up.at(d));
        detail::places_by_rank<detail::Descending>(d, lines, count, x.read(d), down.at(d));
      });
      CHECK(up.device.values() == up.host);
      CHECK(down.device.values() == down.host);
    }
}
