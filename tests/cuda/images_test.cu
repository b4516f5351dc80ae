// Convolution and pooling on the device against those on the CPU, in pieces of every size, and a classifier
// of images made of them that trains.
#include <catch2/catch.hpp>

#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/convolution.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/ops/convolution/cuda.cuh>
#include <burrow/ops/cross_entropy/cuda.cuh>
#include <burrow/ops/pooling/cuda.cuh>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/cuda.cuh>

#include "tests/cuda/device_array.hpp"
#include "tests/cuda/gradients.hpp"

namespace {

using namespace burrow;
using detail::ConvolutionExtents;
using detail::DenseTarget;
using detail::PoolingExtents;
using detail::window_axis;
using test::Both;
using test::on_both;
using test::tolerance;

/// What `cuda::patch_bytes` is while this lives.
class PatchBytes {
 public:
  explicit PatchBytes(Index bytes) : before_{std::exchange(cuda::patch_bytes, bytes)} {}
  PatchBytes(const PatchBytes&) = delete;
  ~PatchBytes() { cuda::patch_bytes = before_; }

 private:
  Index before_;
};

struct Case {
  Window<2> how;
  std::array<Index, 3> image;  // batch, rows, columns
  std::array<Index, 2> taps;
  Index in, out, groups;

  ConvolutionExtents extents() const {
    return {image[0], window_axis(how, 0, image[1], taps[0]), window_axis(how, 1, image[2], taps[1]), in, out,
            groups};
  }
};
const Case cases[] = {
    {{}, {2, 6, 5}, {3, 2}, 4, 8, 1},
    {{.same = true}, {3, 7, 7}, {3, 3}, 8, 16, 1},
    {{.stride = {2, 3}, .before = {1, 0}, .after = {0, 2}}, {2, 9, 8}, {3, 3}, 3, 5, 1},
    {{.stride = {2, 1}, .dilation = {2, 3}, .same = true}, {2, 8, 9}, {3, 2}, 8, 8, 2},
    {{.same = true}, {2, 5, 6}, {3, 3}, 6, 12, 6},
    {{}, {2, 4, 5}, {1, 1}, 16, 24, 2},
    {{.stride = {2, 2}}, {2, 5, 5}, {1, 1}, 8, 8, 1},
    {{}, {0, 4, 4}, {2, 2}, 3, 4, 1},
};

template <class T>
void check_convolution(const Case& one, bool accumulate) {
  const auto e = one.extents();
  const Index image = e.batch * e.rows.in * e.columns.in * e.in;
  Both<T> x{image, 1}, weight{e.patch() * e.out, 2}, y{e.pixels() * e.out, 3}, dy{e.pixels() * e.out, 4},
      dx{image, 5}, dweight{e.patch() * e.out, 6};
  on_both([&](auto d) {
    convolution_forward(d, e, x.read(d), weight.read(d), y.at(d));
    convolution_input_gradient(d, e, weight.read(d), dy.read(d), DenseTarget<T>{dx.at(d), accumulate});
    convolution_weight_gradient(d, e, x.read(d), dy.read(d), DenseTarget<T>{dweight.at(d), accumulate});
  });
  INFO("window " << one.taps[0] << " x " << one.taps[1] << ", stride " << one.how.stride[0] << ", " << e.in
                 << " to " << e.out << " channels in " << e.groups << " groups, pieces of "
                 << cuda::patch_bytes);
  CHECK(y.same());
  CHECK(dx.same());
  CHECK(dweight.same(2 * tolerance<T>()));
}

}  // namespace

TEMPLATE_TEST_CASE("convolutions and their gradients, whole, in pieces of images and of pixels", "", float,
                   bf16) {
  for (const Index bytes : {Index{1} << 30, Index{20000}, Index{1500}}) {
    const PatchBytes limit{bytes};
    for (const Case& one : cases) check_convolution<TestType>(one, bytes == 20000);
  }
}

TEST_CASE("a window's taps and its outputs are each other's inverse") {
  for (const Case& one : cases)
    for (const auto& axis : {one.extents().rows, one.extents().columns})
      for (Index i = -2; i < axis.in + 2; ++i)
        for (Index k = 0; k < axis.taps; ++k) {
          Index reader = -1;
          for (Index o = 0; o < axis.out; ++o)
            if (axis.input(o, k) == i) reader = o;
          CHECK(axis.output(i, k) == reader);
        }
}

constexpr Window<1> causal{.dilation = {2}, .before = {4}};

TEST_CASE("convolutions of sequences and images as operations", "[cuda]") {
  CHECK(all_distance([](const auto& x, const auto& w) { return convolution2d(x, w); }, random<2, 6, 5, 4>(1),
                     random<3, 3, 2, 6>(2)) < 1e-5);
  CHECK(all_distance([](const auto& x, const auto& w) { return convolution1d<causal>(x, w); },
                     random<2, 9, 4>(1), random<3, 4, 8>(2)) < 1e-5);
  CHECK(all_distance([](const auto& x, const auto& w) { return convolution2d(x * 2, cast<bf16>(w)); },
                     Tensor<bf16, Shape<2, 6, 5, 8>>(cast<bf16>(random<2, 6, 5, 8>(3))),
                     random<3, 3, 8, 8>(4)) < 1e-2);
}

TEMPLATE_TEST_CASE("largest elements and means of windows, with their gradients", "", float, bf16) {
  using T = TestType;
  const Window<2> beside{.stride = {2, 2}}, over{.stride = {1, 2}, .dilation = {1, 2}, .same = true};
  for (const Window<2>& how : {beside, over})
    for (const Index channels : {3, 16}) {
      const PoolingExtents e{3, window_axis(how, 0, 7, 2), window_axis(how, 1, 8, 3), channels};
      Both<T> x{3 * e.image(), 1}, y{3 * e.pixels() * channels, 2}, mean{3 * e.pixels() * channels, 2},
          dy{3 * e.pixels() * channels, 3}, dx{3 * e.image(), 4}, dmean{3 * e.image(), 5};
      for (std::size_t i = 0; i < x.host.size(); i += 3) x.host[i] = x.host[0];  // the first of equals
      x.device = test::DeviceArray<T>{x.host};
      on_both([&](auto d) {
        pool_forward<detail::MaximumOf>(d, e, x.read(d), y.at(d));
        pool_forward<detail::SumOf>(d, e, x.read(d), mean.at(d));
        pool_backward<detail::MaximumOf>(d, e, x.read(d), dy.read(d), DenseTarget<T>{dx.at(d), true});
        pool_backward<detail::SumOf>(d, e, x.read(d), dy.read(d), DenseTarget<T>{dmean.at(d), false});
      });
      CHECK(y.same(0));
      CHECK(mean.same());
      CHECK(dx.same());
      CHECK(dmean.same());
    }
}

TEST_CASE("pooling as an operation", "[cuda]") {
  const auto x = random<2, 6, 6, 4>(1);
  CHECK(all_distance([](const auto& a) { return max_pool2d<2, 2>(a); }, x) < 1e-5);
  CHECK(all_distance([](const auto& a) { return average_pool2d<3, 2>(a * 2); }, x) < 1e-5);
}

namespace {

/// Two convolutions with a pooling between them, and a linear map of what is left.
template <class Policy>
struct Classifier {
  static constexpr Window<2> same{.same = true};
  Convolution2d<1, 8, 3, same, 1, Policy> first;
  Convolution2d<8, 8, 3, Window<2>{}, 1, Policy> second;
  Linear<32, 4, Policy> output;

  auto operator()(const auto& x) const {
    const auto small = max_pool2d<2, 2>(materialize(relu(first(x))));
    return output(reshape(materialize(relu(second(small))), Shape<16, 32>{}));
  }
};

/// Images of 8 x 8 pixels, bright in the quarter that the target names.
struct Examples {
  Tensor<float, Shape<16, 8, 8, 1>> images{normal<Shape<16, 8, 8, 1>>(Key{1}) * 0.5f};
  Tensor<std::int32_t, Shape<16>> targets;

  Examples() {
    for (Index n = 0; n < 16; ++n) {
      targets(n) = static_cast<std::int32_t>(n % 4);
      for (Index i = 0; i < 4; ++i)
        for (Index j = 0; j < 4; ++j) images(n, n % 4 / 2 * 4 + i, n % 2 * 4 + j, Index{0}) += 1.0f;
    }
  }
};

template <class Policy>
auto losses(Index steps) {
  using D = typename Policy::device;
  const Examples examples;
  auto model = build<Classifier<Policy>>(Key{2});
  auto optimizer = Adam{model, {.learning_rate = 1e-2}};
  const auto x = to<D>(Tensor(cast<typename Policy::compute>(examples.images)));
  const auto targets = to<D>(examples.targets);
  Tensor<float, Shape<dyn>> result{Shape<dyn>{{steps}}};
  for (Index step = 0; step < steps; ++step) {
    const auto [loss, gradient] = value_and_grad(
        model, [&](Tape& tape) { return cross_entropy(model(tape.watch(x)), targets).mean(); });
    optimizer.step(model, gradient);
    result(step) = static_cast<float>(loss);
  }
  return result;
}

TEST_CASE("a classifier of images trains on the device as on the CPU", "[cuda]") {
  const auto expected = losses<Float32<Cpu>>(12);
  CHECK(expected(11) < 0.5f * expected(0));
  CHECK(distance(losses<Float32<Cuda>>(12), expected) < 1e-4);
  CHECK(distance(losses<MixedBf16<Cuda>>(4), losses<MixedBf16<Cpu>>(4)) < 1e-2);
}

}  // namespace
