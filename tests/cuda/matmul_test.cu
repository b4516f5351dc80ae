// Matrix products on the device against those on the CPU.
#include <catch2/catch.hpp>

#include <burrow/ops/matmul/cuda.cuh>

#include "tests/cuda/device_array.hpp"

namespace {

using namespace burrow;
using detail::Matrix;
using detail::MatrixBatch;
using test::DeviceArray;
using test::difference;
using test::some_numbers;
using test::tolerance;

struct Size {
  Index m, n, k;
};
constexpr Size sizes[] = {{1, 1, 1},  {3, 5, 7},  {17, 33, 65}, {64, 32, 16},
                          {1, 40, 9}, {40, 1, 9}, {4, 6, 0}};

/// Where operands lie: `batch` matrices of rows x columns, transposed or not, with a gap behind each line.
template <class T>
MatrixBatch<T> batch_at(T* data, Index batch, Index rows, Index columns, bool transposed, Index gap = 0) {
  const Index lines = transposed ? columns : rows, length = (transposed ? rows : columns) + gap;
  const std::array<Index, 1> extents{batch}, strides{lines * length};
  return MatrixBatch<T>::over({data, std::max<Index>(length, 1), transposed}, extents, strides);
}

/// Whether the library has every epilogue: the emulator's does.
#if defined(BURROW_CUDA_EMULATED)
constexpr bool has_all_epilogues = true;
#else
constexpr bool has_all_epilogues = false;
#endif

template <class T, class A, class B, class O>
void compare_products(Index batch, Size size, bool left_transposed, bool right_transposed, bool accumulate,
                      Index gap = 0) {
  const auto [m, n, k] = size;
  const auto count = [&](Index rows, Index columns) { return batch * (rows + gap) * (columns + gap); };
  const auto a = some_numbers<A>(count(m, k), 1);
  const auto b = some_numbers<B>(count(k, n), 2);
  auto c = some_numbers<O>(batch * m * n, 3);
  const DeviceArray<A> left{a};
  const DeviceArray<B> right{b};
  const DeviceArray<O> result{c};
  const auto multiply = [&](auto device, const A* x, const B* y, O* z) {
    multiply_matrices<T>(device, batch, m, n, k, batch_at(x, batch, m, k, left_transposed, gap),
                         batch_at(y, batch, k, n, right_transposed, gap), accumulate,
                         batch_at(z, batch, m, n, false));
  };
  multiply(Cuda{}, left.read(), right.read(), result.data());
  multiply(Cpu{}, a.data(), b.data(), c.data());
  INFO(dtype_name<T>() << ' ' << batch << " of " << m << " x " << n << " x " << k << ' ' << left_transposed
                       << right_transposed << accumulate);
  CHECK(difference(result.values(), c) <= tolerance<O>());
}

}  // namespace

TEMPLATE_TEST_CASE("products on the device are those of the CPU, whichever operands are transposed", "",
                   float, double, bf16, burrow::half) {
  for (const Size size : sizes)
    for (const bool left : {false, true})
      for (const bool right : {false, true})
        for (const bool accumulate : {false, true})
          compare_products<TestType, TestType, TestType, TestType>(1, size, left, right, accumulate);
  compare_products<TestType, TestType, TestType, TestType>(3, {9, 10, 11}, false, true, true);
  compare_products<TestType, TestType, TestType, TestType>(3, {9, 10, 11}, true, false, false, 3);
}

TEMPLATE_TEST_CASE("wide operands of narrow products are rounded, and wide results are not", "", bf16,
                   burrow::half) {
  for (const Size size : sizes) {
    compare_products<TestType, TestType, float, TestType>(1, size, false, true, false);
    compare_products<TestType, float, TestType, TestType>(2, size, true, false, false, 2);
    compare_products<TestType, TestType, TestType, float>(1, size, true, false, true);
  }
}

TEST_CASE("integers are multiplied on the device") {
  std::vector<std::int32_t> a(6), b(6), c(4, 100);
  for (int i = 0; i < 6; ++i) a[static_cast<std::size_t>(i)] = i, b[static_cast<std::size_t>(i)] = 7 - i;
  const DeviceArray<std::int32_t> left{a}, right{b}, result{c};
  multiply_matrices<std::int32_t>(Cuda{}, 1, 2, 2, 3, batch_at(left.read(), 1, 2, 3, false),
                                  batch_at(right.read(), 1, 3, 2, false), true,
                                  batch_at(result.data(), 1, 2, 2, false));
  CHECK(result.values() == std::vector<std::int32_t>{111, 108, 156, 144});
}

TEMPLATE_TEST_CASE("a bias is added to each row of a product", "", float, double, bf16) {
  using T = TestType;
  for (const auto [m, n, k] : sizes) {
    const auto a = some_numbers<T>(m * k, 1), b = some_numbers<T>(k * n, 2), bias = some_numbers<T>(n + 1, 3);
    std::vector<T> c(static_cast<std::size_t>(m * n));
    const DeviceArray<T> left{a}, right{b}, row{bias}, result{m * n};
    const auto multiply = [m, n, k](auto device, const T* x, const T* y, const T* z, T* to) {
      multiply_with_bias<T>(device, m, n, k, Matrix<const T>{x, std::max<Index>(k, 1)}, Matrix<const T>{y, n},
                            z, to);
    };
    multiply(Cuda{}, left.read(), right.read(), row.read() + 1, result.data());
    multiply(Cpu{}, a.data(), b.data(), bias.data() + 1, c.data());
    CHECK(difference(result.values(), c) <= tolerance<T>());
  }
}

TEMPLATE_TEST_CASE("columns of the right factor are summed beside a product, of narrow types in fp32", "",
                   float, bf16, burrow::half) {
  using T = TestType;
  for (const auto [m, n, k] : sizes)
    for (const bool turned : {false, true})
      for (const bool accumulate : {false, true}) {
        const auto a = some_numbers<T>(m * k, 1), b = some_numbers<T>(k * n, 2);
        auto c = some_numbers<float>(m * n, 3);
        std::vector<float> expected(static_cast<std::size_t>(n));
        for (Index l = 0; l < k; ++l)
          for (Index j = 0; j < n; ++j)
            expected[static_cast<std::size_t>(j)] +=
                static_cast<float>(b[static_cast<std::size_t>(l * n + j)]);
        const DeviceArray<T> left{a}, right{b};
        const DeviceArray<float> result{c}, sums{n};
        const auto to = [&](float* data) { return Matrix<float>{data, turned ? m : n, turned}; };
        const Matrix<const T> x{left.read(), std::max<Index>(k, 1)}, y{right.read(), n};
        const bool summed =
            multiply_with_column_sums<T>(Cuda{}, m, n, k, x, y, accumulate, to(result.data()), sums.data());
        multiply_matrices<T>(Cpu{}, 1, m, n, k,
                             MatrixBatch<const T>::over({a.data(), std::max<Index>(k, 1)}, {}, {}),
                             MatrixBatch<const T>::over({b.data(), n}, {}, {}), accumulate,
                             MatrixBatch<float>::over(to(c.data()), {}, {}));
        INFO(m << " x " << n << " x " << k << (turned ? " turned" : "") << (accumulate ? " added" : ""));
        CHECK(difference(result.values(), c) <= tolerance<float>());
        CHECK((summed || !has_all_epilogues || k == 0));
        if (summed) CHECK(difference(sums.values(), expected) <= tolerance<float>());
      }
}

TEST_CASE("batches are multiplied whatever the strides of their axes") {
  // [2, 3, m, k] as it lies in [2, m, 3, k], times one matrix for all of the first axis: strides {0, k n}.
  constexpr Index m = 4, n = 5, k = 6;
  const auto a = some_numbers<float>(2 * m * 3 * k, 1), b = some_numbers<float>(3 * k * n, 2);
  std::vector<float> c(2 * 3 * m * n);
  const DeviceArray<float> left{a}, right{b}, result{2 * 3 * m * n};
  const std::array<Index, 2> extents{2, 3}, of_left{m * 3 * k, k}, of_right{0, k * n};
  const auto multiply = [&](auto device, const float* x, const float* y, float* z) {
    multiply_matrices<float>(device, 6, m, n, k, MatrixBatch<const float>::over({x, 3 * k}, extents, of_left),
                             MatrixBatch<const float>::over({y, n}, extents, of_right), false,
                             batch_at(z, 6, m, n, false));
  };
  multiply(Cuda{}, left.read(), right.read(), result.data());
  multiply(Cpu{}, a.data(), b.data(), c.data());
  CHECK(difference(result.values(), c) <= tolerance<float>());
}

TEST_CASE("an array without gaps is one axis, and others are read at their strides") {
  using detail::StridedOrder;
  const std::array<Index, 3> extents{2, 3, 4}, dense{12, 4, 1}, turned{1, 2, 6}, repeated{4, 0, 1};
  CHECK(StridedOrder{extents, dense}.dense());
  const StridedOrder order{extents, turned};
  CHECK(order.offset(0) == 0);
  CHECK(order.offset(4) == 2);
  CHECK(order.offset(23) == 1 + 2 * 2 + 3 * 6);
  CHECK(StridedOrder{extents, repeated}.offset(6) == 2);
  const auto from = some_numbers<float>(24, 1);
  const DeviceArray<float> device{from}, copy{24};
  copy_strided(Cuda{}, extents, turned, device.read(), copy.data());
  std::vector<float> expected(24);
  copy_strided(Cpu{}, extents, turned, from.data(), expected.data());
  CHECK(copy.values() == expected);
}

TEST_CASE(
    "the algorithm for an arrangement is chosen once, and a warm product takes no memory from the system") {
  compare_products<bf16, bf16, float, bf16>(1, {24, 8, 16}, false, false, false);
  const auto plans = cuda::ProductPlans::instance().size();
  const auto allocations = memory_statistics<Cuda>().system_allocations;
  compare_products<bf16, bf16, float, bf16>(1, {24, 8, 16}, false, false, false);
  CHECK(cuda::ProductPlans::instance().size() == plans);
  CHECK(memory_statistics<Cuda>().system_allocations == allocations);
}

TEST_CASE("a product that the library refuses is named with its extents and type") {
  CHECK(cuda::product_name(CUDA_R_16BF, 8, 4, 2, 3) == "matmul of Shape<8, 4, 3> x Shape<8, 3, 2>, bf16");
  const DeviceArray<float> x{64};
  const cuda::ProductMatrix overlapping{x.read(), 1};
  CHECK_THROWS_WITH(
      (cuda::multiply<float, float>(1, 4, 2, 3, overlapping, overlapping, false, {x.data(), 2}, {})),
      Catch::StartsWith("cuda: matmul of Shape<4, 3> x Shape<3, 2>, float: "));
}

TEST_CASE("fp32 is rounded to tf32 on request only") {
  const std::vector<float> one{1.0f}, fine{1.0f + 0x1p-14f};
  const DeviceArray<float> left{one}, right{fine}, result{1};
  const auto multiply = [&] {
    multiply_matrices<float>(Cuda{}, 1, 1, 1, 1, batch_at(left.read(), 1, 1, 1, false),
                             batch_at(right.read(), 1, 1, 1, false), false,
                             batch_at(result.data(), 1, 1, 1, false));
    return result.values()[0];
  };
  CHECK(multiply() == fine[0]);
  cuda::allow_tf32(true);
  CHECK(std::abs(multiply() - 1.0f) < 0x1p-10f);
  cuda::allow_tf32(false);
  CHECK(multiply() == fine[0]);
}
