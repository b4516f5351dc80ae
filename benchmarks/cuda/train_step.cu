// Full training steps (forward, backward, clipping, AdamW) of Gopher on a GPU in mixed bf16, on random
// tokens: build/bin/benchmarks/cuda_train_step [MODEL] [--context N] [--batch N] [--steps N]
// [--rematerialize WHAT]
// [--json]; without a model 44M, 117M, 417M and 1.4B, as far as memory goes. Speed is the median of the steps
// after two to warm up. The peak is that of the tensor cores at the highest clock; beside it stands the
// fastest large product of matrices in the same run.
#include <algorithm>
#include <iomanip>
#include <vector>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/ops/attention/cuda.cuh>
#include <burrow/ops/gather/cuda.cuh>
#include <burrow/ops/linear_cross_entropy/cuda.cuh>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/rms_norm/cuda.cuh>
#include <burrow/optim/cuda.cuh>

#include "benchmarks/cuda/peak.cuh"
#include "benchmarks/cuda/program.cuh"
#include "benchmarks/side_by_side.hpp"
#include "benchmarks/train_step/gopher.hpp"
#include "benchmarks/train_step/options.hpp"

namespace {

using namespace burrow;

/// Operations a second of the product of two square bf16 matrices, the best of some.
double fastest_product() {
  constexpr Index width = 8192, rounds = 10;
  const Tensor<bf16, Shape<width, width>, Cuda> a{}, b{};
  detail::fill_zero(Cuda{}, const_cast<bf16*>(a.data()), a.size() * Index{sizeof(bf16)});
  detail::fill_zero(Cuda{}, const_cast<bf16*>(b.data()), b.size() * Index{sizeof(bf16)});
  const auto once = [&] {
    return benchmarks::seconds([&] {
      (void)matmul(a, b);
      cuda::synchronize();
    });
  };
  once();
  double best = once();
  for (Index i = 0; i < rounds; ++i) best = std::min(best, once());
  return 2.0 * width * width * width / best;
}

struct Measured {
  double tokens_per_second, flops, loss, peak_mib;
};

Measured measure(const benchmarks::Options& options) {
  trim_memory<Cuda>();
  const auto step =
      benchmarks::gopher_step<MixedBf16<Cuda>>(options.model.size, options.batch, options.rematerialize);
  constexpr int warm_up = 2;
  std::vector<double> times;
  double loss = 0;
  for (int i = 0; i < warm_up + options.steps; ++i) {
    const double seconds = benchmarks::seconds([&] {
      loss = step->run();
      cuda::synchronize();
    });
    if (i >= warm_up) times.push_back(seconds);
  }
  const double tokens = static_cast<double>(options.batch * options.model.size.context);
  const double tokens_per_second = tokens / benchmarks::median(times);
  const auto bytes = static_cast<double>(memory_statistics<Cuda>().bytes_from_system);
  return {tokens_per_second, tokens_per_second * benchmarks::flops_per_token(options.model), loss,
          bytes / (1 << 20)};
}

void print(const benchmarks::Options& options, const Measured& m, double peak, double product) {
  if (options.json) {
    std::cout << "{\"tokens_per_second\": " << m.tokens_per_second << ", \"flops_per_second\": " << m.flops
              << ", \"peak_flops_per_second\": " << peak << ", \"product_flops_per_second\": " << product
              << ", \"peak_mib\": " << m.peak_mib << ", \"loss\": " << m.loss << "}" << std::endl;
    return;
  }
  std::cout << options.model.name << ", context " << options.model.size.context << ", batch " << options.batch
            << ", bf16\n"
            << std::fixed << std::setprecision(1) << m.tokens_per_second << " tokens/s, " << m.flops / 1e12
            << " TFLOP/s, " << 100 * m.flops / peak << "% of " << peak / 1e12
            << ", the fastest product of matrices reaches " << product / 1e12 << "\ndevice memory "
            << m.peak_mib << " MiB\nloss " << std::setprecision(4) << m.loss << std::endl;
}

int run(const benchmarks::Options& asked) {
  if (!asked.model.gopher || !asked.bf16)
    benchmarks::fail("on a GPU, Gopher's models in bf16 are compiled, and no others");
  if (asked.profile) benchmarks::fail("--profile times the CPU's operations");
  const double peak = benchmarks::peak_bf16(), product = fastest_product();
  std::vector<benchmarks::KnownModel> models;
  if (asked.given)
    models.push_back(asked.model);
  else
    for (const char* name : {"gopher-44m", "gopher-117m", "gopher-417m", "gopher-1.4b"})
      models.push_back(benchmarks::model_named(name));
  for (const auto& model : models) {
    benchmarks::Options options = asked;
    options.model = model;
    if (asked.context > 0) options.model.size.context = asked.context;
    print(options, measure(options), peak, product);
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  benchmarks::Options defaults;
  defaults.bf16 = true;
  return benchmarks::exit_code("cuda_train_step",
                               [&] { return run(benchmarks::parse(count, arguments, defaults)); });
}
