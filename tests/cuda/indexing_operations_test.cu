// Operations by index and on parts of tensors of the device: values and gradients are those of the CPU.
#include <catch2/catch.hpp>

#include <burrow/ops/argmax/cuda.cuh>
#include <burrow/ops/concatenate/concatenate.hpp>
#include <burrow/ops/embedding/embedding.hpp>
#include <burrow/ops/gather/cuda.cuh>
#include <burrow/ops/one_hot/one_hot.hpp>
#include <burrow/ops/pad/pad.hpp>
#include <burrow/ops/scan/cuda.cuh>
#include <burrow/ops/sort/cuda.cuh>
#include <burrow/ops/with_part/with_part.hpp>

#include "tests/cuda/gradients.hpp"

namespace {

using namespace burrow;

const Tensor<std::int32_t, Shape<2, 3>> ids{4, 0, 4, 1, 4, 2};
/// The ids on the device of an operand.
template <class X>
auto ids_beside(const X&) {
  return to<device_of<X>>(ids);
}

TEST_CASE("embeddings and parts by index", "[cuda]") {
  const auto table = random<5, 24>(1);
  CHECK(all_distance([](const auto& t) { return embedding(t, ids_beside(t)); }, table) < 1e-6);
  CHECK(all_distance([](const auto& t) { return embedding<bf16>(t, ids_beside(t)); }, table) < 1e-2);
  CHECK(all_distance([](const auto& t) { return gather<1>(t, ids_beside(t)); }, random<3, 5, 4>(1)) < 1e-6);
  CHECK(all_distance([](const auto& t) { return take_along<0>(t, ids_beside(t)); }, random<5, 3>(1)) < 1e-6);
  CHECK(all_distance([](const auto& t, const auto& u) { return scatter_add<0>(t, ids_beside(t), u); },
                     random<5, 4>(1), random<2, 3, 4>(2)) < 1e-6);
}

TEST_CASE("tensors joined, framed and replaced in part", "[cuda]") {
  const auto x = random<3, 5>(1);
  const auto y = random<3, 4>(2);
  CHECK(all_distance([](const auto& a, const auto& b) { return concatenate<1>(a, b * 2); }, x, y) < 1e-6);
  CHECK(all_distance([](const auto& a) { return stack<0>(a, exp(a)); }, x) < 1e-6);
  CHECK(all_distance([](const auto& a) { return pad<1, 1, 2>(a, 3.0f); }, x) < 1e-6);
  CHECK(all_distance([](const auto& a, const auto& b) { return with_part(a, b, whole_axis, range(0, 4)); }, x,
                     y) < 1e-6);
}

TEST_CASE("one-hot rows and positions of extremes", "[cuda]") {
  CHECK(distance(one_hot<6>(to<Cuda>(ids)), one_hot<6>(ids)) == 0);
  const auto x = random<7, 40>(1);
  CHECK(distance(argmax<1>(to<Cuda>(x)), argmax<1>(x)) == 0);
  CHECK(distance(argmin<0>(to<Cuda>(x)), argmin<0>(x)) == 0);
  CHECK(distance(argmax(to<Cuda>(x)), argmax(x)) == 0);
}

TEST_CASE("running sums and sorting", "[cuda]") {
  const auto x = random<4, 9>(1);
  CHECK(all_distance([](const auto& a) { return cumsum<1>(a); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return cumprod<0>(a); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return sort(a); }, x) < 1e-6);
  CHECK(all_distance([](const auto& a) { return topk<3>(a).values; }, x) < 1e-6);
}

}  // namespace
