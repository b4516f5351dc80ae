// Tensors and fused expressions on the device do what they do on the CPU.
#include <catch2/catch.hpp>

#include <sstream>

#include <burrow/core/cuda.cuh>
#include <burrow/tensor/cuda.cuh>
#include <burrow/tensor/indexing.hpp>
#include <burrow/tensor/part.hpp>
#include <burrow/tensor/print.hpp>
#include <burrow/tensor/reduce.hpp>

#include "tests/cuda/close.hpp"

namespace {

using namespace burrow;

TEST_CASE("tensors travel to the device and back", "[cuda]") {
  const auto x = normal<Shape<3, 5>>(Key{1});
  const auto on_device = to<Cuda>(x);
  CHECK(distance(on_device, x) == 0);

  Tensor<std::int32_t, Shape<3>, Cuda> small{1, 2, 3};
  auto copy = small;
  copy = Tensor(copy + 1);
  CHECK(to<Cpu>(small)(2) == 3);
  CHECK(to<Cpu>(copy)(2) == 4);

  const Tensor<float, Shape<>, Cuda> one{2.5f};
  const Index before = cuda::synchronizations();
  CHECK(one.item() == 2.5f);
  CHECK(cuda::synchronizations() == before + 1);

  std::ostringstream text;
  text << small;
  CHECK(text.str() == "[1, 2, 3]");
  CHECK(to<Cuda>(normal<Shape<0, 4>>(Key{1})).size() == 0);
}

/// f(tensors...) computed on both devices.
template <class F, class... X>
double difference(const F& f, const X&... x) {
  const auto expected = Tensor(f(x...));
  const auto found = Tensor(f(to<Cuda>(x)...));
  return distance(found, expected);
}

TEST_CASE("expressions have the CPU's values on the device, whatever their shapes", "[cuda]") {
  const auto f = [](const auto& a, const auto& b) { return gelu(a * 0.5f + b) - tanh(a) * b; };
  // Rows of whole pieces, rows that end within one, and operands that repeat along rows or columns.
  CHECK(difference(f, normal<Shape<4, 64>>(Key{1}), normal<Shape<4, 64>>(Key{2})) < 1e-6);
  CHECK(difference(f, normal<Shape<3, 37>>(Key{1}), normal<Shape<37>>(Key{2})) < 1e-6);
  CHECK(difference(f, normal<Shape<5, 16>>(Key{1}), normal<Shape<16>>(Key{2})) < 1e-6);
  CHECK(difference(f, normal<Shape<2, 3, 1, 8>>(Key{1}), normal<Shape<3, 4, 1>>(Key{2})) < 1e-6);
  CHECK(difference(f, normal<Shape<0, 7>>(Key{1}), normal<Shape<7>>(Key{2})) == 0);
  CHECK(difference(f, normal<Shape<>>(Key{1}), normal<Shape<>>(Key{2})) < 1e-6);
  CHECK(difference(f, normal<Shape<4000>>(Key{1}), normal<Shape<4000>>(Key{2})) < 1e-6);
}

TEST_CASE("views with strides, and types of other sizes", "[cuda]") {
  const auto x = normal<Shape<6, 10>>(Key{3});
  CHECK(difference([](const auto& a) { return transpose(a) * 2; }, x) == 0);
  CHECK(difference([](const auto& a) { return view(a, range(1, 5, 2), range(3, 9)) + 1; }, x) == 0);
  const Tensor<bf16, Shape<5, 24>> narrow{normal<Shape<5, 24>>(Key{4})};
  CHECK(difference([](const auto& a) { return a * a + 1; }, narrow) <= one_rounding);
  CHECK(difference([](const auto& a, const auto& b) { return cast<float>(a) * b; }, narrow,
                   normal<Shape<24>>(Key{5})) == 0);
  const auto numbers = arange<Shape<3, 11>, std::int64_t>();
  CHECK(difference([](const auto& a) { return where(remainder(a, 3) == 0, a * 7, -a); }, numbers) == 0);
  CHECK(difference([](const auto& a) { return cast<std::uint8_t>(a > 4) + cast<std::uint8_t>(a); },
                   numbers) == 0);
  CHECK(difference([](const auto& a) { return a * 2.0; }, normal<Shape<33>, double>(Key{6})) == 0);
}

TEST_CASE("parts are written on the device", "[cuda]") {
  auto x = normal<Shape<6, 10>>(Key{3});
  auto y = to<Cuda>(x);
  const auto row = normal<Shape<10>>(Key{4});
  part(x, 2) = row * 2;
  part(y, 2) = to<Cuda>(row) * 2;
  part(x, whole_axis, 3) = 7;
  part(y, whole_axis, 3) = 7;
  part(x, range(0, 6, 3), range(4, 8)) += 1;
  part(y, range(0, 6, 3), range(4, 8)) += 1;
  CHECK(distance(y, x) == 0);
}

TEST_CASE("reductions over rows, columns and everything", "[cuda]") {
  const auto check = [](const auto& x) {
    const auto y = to<Cuda>(x);
    CHECK(distance(sum(square(y)), sum(square(x))) < 1e-6);
    CHECK(distance(sum<-1>(y * 2), sum<-1>(x * 2)) < 1e-6);
    CHECK(distance(sum<0>(y * 2), sum<0>(x * 2)) < 1e-6);
    CHECK(distance(mean<0>(y, keep_axes), mean<0>(x, keep_axes)) < 1e-6);
    CHECK(distance(max<-1>(y), max<-1>(x)) == 0);
    CHECK(distance(min(y), min(x)) == 0);
  };
  check(normal<Shape<7, 33>>(Key{1}));
  check(normal<Shape<64, 8>>(Key{2}));
  check(normal<Shape<3, 5, 12>>(Key{3}));
  check(normal<Shape<2, 5000>>(Key{4}));
  check(normal<Shape<3000, 2>>(Key{5}));
  check(normal<Shape<1>>(Key{6}));
}

TEST_CASE("reductions of a middle axis, of other types, and of nothing", "[cuda]") {
  const auto x = normal<Shape<3, 5, 12>>(Key{3});
  const auto y = to<Cuda>(x);
  CHECK(distance(sum<1>(y), sum<1>(x)) < 1e-6);
  CHECK(distance(sum<0, 2>(y), sum<0, 2>(x)) < 1e-6);
  CHECK(distance(prod<1>(y), prod<1>(x)) < 1e-6);
  CHECK(distance(any<1>(y > 2), any<1>(x > 2)) == 0);
  CHECK(distance(all<2>(y > -2), all<2>(x > -2)) == 0);
  CHECK(distance(count_nonzero<0>(y > 0), count_nonzero<0>(x > 0)) == 0);
  const auto bytes = cast<std::uint8_t>(arange<Shape<4, 9>>());
  CHECK(distance(max<1>(Tensor<std::uint8_t, Shape<4, 9>, Cuda>(to<Cuda>(bytes))), max<1>(bytes)) == 0);
  const Tensor<bf16, Shape<400>> ones(ones_like(normal<Shape<400>>(Key{1})));
  CHECK(sum(cast<bf16>(to<Cuda>(ones))).item() == 400);
  CHECK(distance(sum<0>(zeros<Shape<0, 3>, float, Cuda>()), zeros<Shape<3>>()) == 0);
}

TEST_CASE("random numbers are those of the CPU", "[cuda]") {
  CHECK(distance(uniform<Shape<1001>, float, Cuda>(Key{9}), uniform<Shape<1001>>(Key{9})) == 0);
  CHECK(distance(normal<Shape<1001>, float, Cuda>(Key{9}), normal<Shape<1001>>(Key{9})) < 1e-7);
  CHECK(distance(full<Shape<5>, float, Cuda>(3), full<Shape<5>>(3.0f)) == 0);
  CHECK(distance(arange<Shape<2, 3>, float, Cuda>(), arange<Shape<2, 3>>()) == 0);
}

}  // namespace
