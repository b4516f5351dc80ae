// Softmax and norms of rows on the device against those on the CPU: widths that are whole accesses and
// others, arrays that begin in the middle of an access, gradients that are written and added.
#include <catch2/catch.hpp>

#include <burrow/ops/layer_norm/cuda.cuh>
#include <burrow/ops/rms_norm/cuda.cuh>
#include <burrow/ops/softmax/cuda.cuh>

#include "tests/cuda/device_array.hpp"

namespace {

using namespace burrow;
using detail::DenseRows;
using detail::DenseTarget;
using detail::LogSumExp;
using detail::RowMoments;
using detail::Rows;
using test::Both;
using test::DeviceArray;
using test::difference;
using test::on_both;
using test::tolerance;

struct Case {
  Rows rows;
  Index shift;
};
// Of the last, a block of threads holds no row: it is read one element to a thread.
const Case cases[] = {{{0, 5}, 0},    {{1, 1}, 0},   {{5, 31}, 1},   {{7, 64}, 0}, {{7, 64}, 1},
                      {{3, 1000}, 0}, {{200, 8}, 0}, {{130, 72}, 0}, {{2, 600}, 1}};

}  // namespace

TEMPLATE_TEST_CASE("softmax and its gradient", "", float, double, bf16) {
  using T = TestType;
  for (const auto& [rows, shift] : cases) {
    Both<T> x{rows.size(), 1, shift}, y{rows.size(), 2, shift}, dy{rows.size(), 3, shift},
        dx{rows.size(), 4, shift}, sum{rows.size(), 5, shift};
    on_both([&](auto d) {
      softmax_forward(d, rows, static_cast<const T*>(x.at(d)), y.at(d));
      softmax_backward(d, rows, static_cast<const T*>(y.at(d)), static_cast<const T*>(dy.at(d)),
                       DenseTarget<T>{dx.at(d), false});
      softmax_backward(d, rows, static_cast<const T*>(y.at(d)), static_cast<const T*>(dy.at(d)),
                       DenseTarget<T>{sum.at(d), true});
    });
    INFO(rows.count << " rows of " << rows.width << " from element " << shift);
    CHECK(y.same());
    CHECK(dx.same());
    CHECK(sum.same());
  }
}

TEMPLATE_TEST_CASE("log_softmax and its gradient", "", float, double, bf16) {
  using T = TestType;
  using C = compute_type<T>;
  for (const auto& [rows, shift] : cases) {
    Both<T> x{rows.size(), 1, shift}, y{rows.size(), 2, shift}, dy{rows.size(), 3, shift},
        dx{rows.size(), 4, shift};
    Both<C> normalizers{2 * rows.count, 5};
    on_both([&](auto d) {
      auto* const known = reinterpret_cast<LogSumExp<C>*>(normalizers.at(d));
      log_softmax_forward(d, rows, static_cast<const T*>(x.at(d)), y.at(d), known);
      log_softmax_backward(d, rows, static_cast<const T*>(x.at(d)), static_cast<const LogSumExp<C>*>(known),
                           static_cast<const T*>(dy.at(d)), DenseTarget<T>{dx.at(d), true});
    });
    INFO(rows.count << " rows of " << rows.width << " from element " << shift);
    CHECK(y.same());
    CHECK(normalizers.same());
    CHECK(dx.same());
  }
}

TEST_CASE("softmax of rows with infinities and NaN on the device is that of the CPU") {
  constexpr float inf = INFINITY, nan = NAN;
  const Rows rows{5, 4};
  const std::vector<float> x{1, -inf, 2,    3,    inf,  1,    2,     3,      nan, 1,
                             2, 3,    -inf, -inf, -inf, -inf, 1e30f, -1e30f, 0,   1};
  const DeviceArray<float> from{x}, y{20}, log_y{20}, normalizers{10};
  std::vector<float> expected(20), expected_log(20), known(10);
  softmax_forward(Cuda{}, rows, from.read(), y.data());
  softmax_forward(Cpu{}, rows, x.data(), expected.data());
  log_softmax_forward(Cuda{}, rows, from.read(), log_y.data(),
                      reinterpret_cast<LogSumExp<float>*>(normalizers.data()));
  log_softmax_forward(Cpu{}, rows, x.data(), expected_log.data(),
                      reinterpret_cast<LogSumExp<float>*>(known.data()));
  CHECK(difference(y.values(), expected) <= 1e-6);
  CHECK(difference(log_y.values(), expected_log) <= 1e-6);
}

TEMPLATE_TEST_CASE("rms_norm and its gradients, with a gain of its own type", "", float, double, bf16) {
  using T = TestType;
  using C = compute_type<T>;
  for (const auto& [rows, shift] : cases) {
    Both<T> x{rows.size(), 1, shift}, y{rows.size(), 2, shift}, dy{rows.size(), 3, shift},
        dx{rows.size(), 4, shift};
    Both<T> alone{rows.size(), 9, shift};
    Both<C> gain{rows.width, 5, shift}, rho{rows.count, 6}, dgain{rows.width, 7}, sum{rows.width, 8};
    on_both([&](auto d) {
      const DenseRows<T> source{x.at(d), rows.width};
      rms_norm_forward(d, rows, source, static_cast<const C*>(gain.at(d)), C(1e-5), y.at(d), rho.at(d));
      const auto backward = [&](DenseTarget<T> to, DenseTarget<C> to_gain) {
        rms_norm_backward(d, rows, source.data, static_cast<const C*>(gain.at(d)),
                          static_cast<const C*>(rho.at(d)), static_cast<const T*>(dy.at(d)), to, to_gain);
      };
      backward({dx.at(d), true}, {dgain.at(d), false});
      backward({}, {sum.at(d), true});
      backward({alone.at(d), true}, {});
    });
    INFO(rows.count << " rows of " << rows.width << " from element " << shift);
    CHECK(y.same());
    CHECK(rho.same());
    CHECK(dx.same());
    CHECK(alone.same());
    CHECK(dgain.same(2 * tolerance<C>()));
    CHECK(sum.same(2 * tolerance<C>()));
  }
}

TEMPLATE_TEST_CASE("layer_norm and its gradients", "", float, double, bf16) {
  using T = TestType;
  using C = compute_type<T>;
  for (const auto& [rows, shift] : cases) {
    Both<T> x{rows.size(), 1, shift}, y{rows.size(), 2, shift}, dy{rows.size(), 3, shift},
        dx{rows.size(), 4, shift};
    Both<C> gain{rows.width, 5, shift}, moments{2 * rows.count, 6}, dgain{rows.width, 7};
    Both<T> bias{rows.width, 8}, dbias{rows.width, 9}, alone{rows.size(), 10, shift},
        alone_bias{rows.width, 11};
    on_both([&](auto d) {
      const DenseRows<T> source{x.at(d), rows.width};
      auto* const known = reinterpret_cast<RowMoments<C>*>(moments.at(d));
      layer_norm_forward(d, rows, source, static_cast<const C*>(gain.at(d)),
                         static_cast<const T*>(bias.at(d)), C(1e-5), y.at(d), known);
      layer_norm_backward(d, rows, source.data, static_cast<const C*>(gain.at(d)),
                          static_cast<const RowMoments<C>*>(known), static_cast<const T*>(dy.at(d)),
                          DenseTarget<T>{dx.at(d), true}, DenseTarget<C>{dgain.at(d), false},
                          DenseTarget<T>{dbias.at(d), true});
      layer_norm_backward(d, rows, source.data, static_cast<const C*>(gain.at(d)),
                          static_cast<const RowMoments<C>*>(known), static_cast<const T*>(dy.at(d)),
                          DenseTarget<T>{alone.at(d), false}, DenseTarget<C>{},
                          DenseTarget<T>{alone_bias.at(d), false});
      layer_norm_backward(d, rows, source.data, static_cast<const C*>(gain.at(d)),
                          static_cast<const RowMoments<C>*>(known), static_cast<const T*>(dy.at(d)),
                          DenseTarget<T>{alone.at(d), true}, DenseTarget<C>{}, DenseTarget<T>{});
    });
    INFO(rows.count << " rows of " << rows.width << " from element " << shift);
    CHECK(y.same());
    CHECK(dx.same());
    CHECK(dgain.same(2 * tolerance<C>()));
    CHECK(dbias.same());
    CHECK(alone.same());
    CHECK(alone_bias.same());
  }
}
