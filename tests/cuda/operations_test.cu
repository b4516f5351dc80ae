// Operations on tensors of the device: values and gradients are those of the CPU. Their loops have tests of
// their own; this checks that the operations find them.
#include <catch2/catch.hpp>

#include <burrow/ops/dropout/cuda.cuh>
#include <burrow/ops/layer_norm/cuda.cuh>
#include <burrow/ops/linear_cross_entropy/cuda.cuh>
#include <burrow/ops/log_sum_exp/log_sum_exp.hpp>
#include <burrow/ops/matmul/linear.hpp>
#include <burrow/ops/rms_norm/cuda.cuh>
#include <burrow/ops/rotary/cuda.cuh>
#include <burrow/ops/softmax/cuda.cuh>

#include "tests/cuda/gradients.hpp"

namespace {

using namespace burrow;

TEST_CASE("softmax, its logarithm and sums of exponentials", "[cuda]") {
  const auto x = random<6, 40>(1);
  CHECK(all_distance([](const auto& a) { return softmax(a * 2); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return softmax(transpose(a)); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return log_softmax(a); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return log_sum_exp<1>(a); }, x) < 1e-5);
}

TEST_CASE("norms of tensors, of strided views and of sums", "[cuda]") {
  const auto x = random<9, 24>(1), y = random<9, 24>(2);
  const auto gain = random<24>(3), bias = random<24>(4);
  CHECK(all_distance([](const auto& a, const auto& g) { return rms_norm(a, g); }, x, gain) < 1e-5);
  CHECK(all_distance([](const auto& a, const auto& g, const auto& b) { return layer_norm(a, g, b); }, x, gain,
                     bias) < 1e-5);
  CHECK(all_distance([](const auto& a, const auto& g) { return rms_norm(transpose(a), g); }, random<24, 9>(5),
                     gain) < 1e-5);
  CHECK(all_distance(
            [](const auto& a, const auto& b, const auto& g) {
              const auto [sum, norm] = add_rms_norm(a, b, g);
              return materialize(sum * norm);
            },
            x, y, gain) < 1e-5);
  CHECK(all_distance(
            [](const auto& a, const auto& b, const auto& g, const auto& c) {
              const auto [sum, norm] = add_layer_norm(a, b, g, c);
              return materialize(sum * norm);
            },
            x, y, gain, bias) < 1e-5);
  const auto added = [](const auto& a, const auto& b, const auto& g) {
    const auto [sum, norm] = add_rms_norm(transpose(a), b * 2, g);
    return materialize(sum * norm);
  };
  CHECK(all_distance(added, random<24, 9>(6), random<24>(7), gain) < 1e-5);
  const auto narrow = [](const auto& v) { return Tensor(cast<bf16>(v)); };
  CHECK(all_distance([](const auto& a, const auto& b, const auto& g) { return add_rms_norm(a, b, g).norm; },
                     narrow(x), narrow(y), gain) < 1e-2);
}

TEST_CASE("a residual sum and its norm are one kernel", "[cuda]") {
  const auto x = to<Cuda>(random<9, 24>(1)), y = to<Cuda>(random<9, 24>(2));
  const auto gain = to<Cuda>(random<24>(3)), bias = to<Cuda>(random<24>(4));
  const auto launches = [](const auto& compute) {
    const Index before = cuda::launches();
    (void)compute();
    return cuda::launches() - before;
  };
  CHECK(launches([&] { return add_rms_norm(x, y, gain); }) == 1);
  CHECK(launches([&] { return add_layer_norm(x, y, gain, bias); }) == 1);
}

TEST_CASE("products of tensors, transposed and of batches, with a bias and with wide weights", "[cuda]") {
  const auto multiply = [](const auto& a, const auto& b) { return matmul(a, b); };
  CHECK(all_distance(multiply, random<5, 7>(1), random<7, 9>(2)) < 1e-5);
  CHECK(all_distance([](const auto& a, const auto& b) { return matmul(transpose(a), transpose(b)); },
                     random<7, 5>(1), random<9, 7>(2)) < 1e-5);
  CHECK(all_distance(multiply, random<2, 3, 5, 7>(1), random<2, 3, 7, 4>(2)) < 1e-5);
  CHECK(all_distance([](const auto& a, const auto& b) { return matmul(transpose<1, 2>(a), b); },
                     random<2, 5, 3, 7>(1), random<2, 3, 7, 4>(2)) < 1e-5);
  CHECK(all_distance([](const auto& a, const auto& b) { return matmul(view(a, range(0, 6, 2)), b); },
                     random<6, 7>(1), random<7, 4>(2)) < 1e-5);
  const auto affine = [](const auto& a, const auto& w, const auto& b) { return linear(a, w, b); };
  CHECK(all_distance(affine, random<2, 5, 7>(1), random<7, 9>(2), random<9>(3)) < 1e-5);
  const Tensor<bf16, Shape<2, 5, 16>> narrow(cast<bf16>(random<2, 5, 16>(4)));
  CHECK(all_distance([](const auto& a, const auto& w) { return matmul(a, cast<bf16>(w)); }, narrow,
                     random<16, 9>(2)) < 1e-2);
}

TEST_CASE("losses of rows of logits and of a head, with targets that do not count", "[cuda]") {
  const Tensor<std::int32_t, Shape<2, 4>> targets{3, 0, -1, 6, 2, -1, 5, 5};
  const auto h = random<2, 4, 8>(1);
  const auto table = random<7, 8>(2);
  const auto bias = random<7>(3);
  const auto head = [&](const auto& a, const auto& w, const auto& b) {
    return linear_cross_entropy(a, w, b, to<device_of<decltype(a)>>(targets)).sum;
  };
  CHECK(all_distance(head, h, table, bias) < 1e-5);
  CHECK(all_distance(
            [&](const auto& a, const auto& w) {
              return linear_cross_entropy(a, transpose(w), to<device_of<decltype(a)>>(targets)).mean();
            },
            h, random<8, 7>(4)) < 1e-5);
  const Tensor<bf16, Shape<2, 4, 8>> narrow(cast<bf16>(h));
  CHECK(all_distance(head, narrow, table, bias) < 1e-2);
  CHECK(all_distance([&](const auto& a) { return cross_entropy(a, to<device_of<decltype(a)>>(targets)).sum; },
                     random<2, 4, 7>(5)) < 1e-5);
}

TEST_CASE("dropout and rotary positions", "[cuda]") {
  CHECK(all_distance([](const auto& a) { return dropout(a, Key{1}, 0.4); }, random<9, 24>(1)) < 1e-6);
  CHECK(all_distance([](const auto& a) { return rotary(a, 3, 5); }, random<2, 9, 24>(1)) < 1e-5);
}

}  // namespace
