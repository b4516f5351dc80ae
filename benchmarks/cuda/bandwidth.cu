// How much of a copy's bandwidth fused kernels reach: build/bin/benchmarks/cuda_bandwidth [MiB]. A kernel's
// bytes are those that it has to read and write, of arrays of so many MiB (256) in bf16; the copy is
// cudaMemcpyAsync on the device.
#include <cstdio>
#include <cstdlib>

#include <burrow/ops/layer_norm/cuda.cuh>
#include <burrow/ops/rms_norm/cuda.cuh>
#include <burrow/ops/softmax/cuda.cuh>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/cuda.cuh>
#include <burrow/tensor/activations.hpp>

#include "benchmarks/cuda/program.cuh"
#include "benchmarks/cuda/time.cuh"

namespace {

using namespace burrow;
using T = bf16;
constexpr Index width = 2048;

/// Lines of a table, whose first is the copy's.
class Table {
 public:
  explicit Table(Index bytes) : bytes_{static_cast<double>(bytes)} {}

  /// A line for f, which moves so many times the bytes of one array.
  template <class F>
  void add(const char* what, double arrays, const F& f) {
    const double speed = arrays * bytes_ / benchmarks::milliseconds(f) * 1e-6;
    if (copy_ == 0) copy_ = speed;
    std::printf("%-44s %8.0f GB/s %6.1f %%\n", what, speed, 100 * speed / copy_);
  }

 private:
  double bytes_, copy_ = 0;
};

void run(Index mebibytes) {
  using Matrix = Tensor<T, Shape<dyn, width>, Cuda>;
  using Row = Tensor<float, Shape<width>, Cuda>;
  const detail::Rows rows{(mebibytes << 20) / (width * Index{sizeof(T)}), width};
  const Shape<dyn, width> shape{{rows.count, width}};
  const auto x = full<Shape<dyn, width>, T, Cuda>(T(0.5f), shape),
             y = full<Shape<dyn, width>, T, Cuda>(T(0.25f), shape);
  const auto gain = full<Shape<width>, float, Cuda>(1.0f), bias = full<Shape<width>, float, Cuda>(0.0f);
  Matrix z{shape};
  Row dgain, dbias;
  Tensor<float, Shape<dyn, 2>, Cuda> numbers{Shape<dyn, 2>{{rows.count, 2}}};
  T* const to = z.data();
  const Index bytes = rows.size() * Index{sizeof(T)};
  Table table{bytes};
  table.add("a copy", 2, [&] { detail::copy_bytes(Cuda{}, Cuda{}, to, x.data(), bytes); });
  table.add("z = gelu(x y + x)", 3, [&] { assign(z, gelu(x * y + x)); });
  table.add("z = x + a row", 2, [&] { assign(z, x + cast<T>(bias)); });
  table.add("the sums of x's columns", 1, [&] { (void)materialize(sum<0>(cast<float>(x))); });
  table.add("softmax", 2, [&] { detail::softmax_forward(Cuda{}, rows, x.data(), to); });
  table.add("rms_norm", 2, [&] { (void)rms_norm(x, gain); });
  table.add("x + y and its rms_norm", 4, [&] { (void)add_rms_norm(x, y, gain); });
  table.add("layer_norm", 2, [&] { (void)layer_norm(x, gain, bias); });
  const detail::DenseTarget<T> dx{to, true};
  table.add("rms_norm's gradients, dx added to", 4, [&] {
    detail::rms_norm_backward(Cuda{}, rows, x.data(), gain.data(), std::as_const(numbers).data(), y.data(),
                              dx, detail::DenseTarget<float>{dgain.data(), false});
  });
  table.add("layer_norm's gradients, dx added to", 4, [&] {
    detail::layer_norm_backward(Cuda{}, rows, x.data(), gain.data(),
                                reinterpret_cast<const detail::RowMoments<float>*>(numbers.data()), y.data(),
                                dx, detail::DenseTarget<float>{dgain.data(), false},
                                detail::DenseTarget<float>{dbias.data(), false});
  });
  // 12 bytes read and 12 written for each parameter, and 4 of the gradient.
  const Index count = rows.size() / 4;
  const auto size = static_cast<std::size_t>(count);
  Tensor<float, Shape<dyn>, Cuda> parameters{Shape<dyn>{{count}}};
  const auto gradient = full<Shape<dyn>, float, Cuda>(0.5f, Shape<dyn>{{count}});
  AdamSlice<float, Cuda> adam{std::span<const float>{parameters.data(), size}, 0, AdamOptions{}};
  table.add("Adam", 28.0 * static_cast<double>(count) / static_cast<double>(bytes), [&] {
    adam.step(std::span<float>{parameters.data(), size}, std::span<const float>{gradient.data(), size});
  });
}

}  // namespace

int main(int argc, char** argv) {
  return benchmarks::exit_code("cuda_bandwidth", [&] {
    cuda::Context::instance();
    run(argc > 1 ? std::atol(argv[1]) : 256);
    return 0;
  });
}
