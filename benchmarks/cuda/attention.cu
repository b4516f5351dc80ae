// Versions of relative attention on the device, each a step further, with bf16 at three widths of heads:
// build/bin/benchmarks/cuda_attention [batch [length]]. Each version is checked against the first, one warp
// to a row, and given as its share of bf16's peak. Then decoding.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <burrow/ops/attention/cuda.cuh>

#include "benchmarks/cuda/peak.cuh"
#include "benchmarks/cuda/program.cuh"
#include "benchmarks/cuda/time.cuh"

namespace {

using namespace burrow;
using benchmarks::milliseconds;
using detail::AttentionExtents;
using detail::AttentionGradients;
using detail::AttentionOperands;
using T = bf16;

/// An array on the device, of random numbers where a seed is given.
template <class E>
class Array {
 public:
  explicit Array(Index count) : count_{count}, buffer_{count * Index{sizeof(E)}} {}
  Array(Index count, std::uint64_t seed) : Array{count} {
    std::vector<E> values(static_cast<std::size_t>(count));
    std::uint64_t state = seed;
    for (E& x : values) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      x = static_cast<E>(static_cast<float>(state >> 40) * 0x1p-23f - 1.0f);
    }
    detail::copy_bytes(Cpu{}, Cuda{}, buffer_.data(), values.data(), count * Index{sizeof(E)});
  }
  E* data() const { return static_cast<E*>(buffer_.data()); }
  std::vector<float> values() const {
    std::vector<E> stored(static_cast<std::size_t>(count_));
    detail::copy_bytes(Cuda{}, Cpu{}, stored.data(), buffer_.data(), count_ * Index{sizeof(E)});
    return {stored.begin(), stored.end()};
  }

 private:
  Index count_;
  Buffer<Cuda> buffer_;
};

struct Operands {
  AttentionExtents e;
  Array<T> q, k, v, r, u, w;

  explicit Operands(const AttentionExtents& of)
      : e{of},
        q{e.batch * e.queries * e.width(), 1},
        k{e.batch * e.keys * e.width(), 2},
        v{e.batch * e.keys * e.width(), 3},
        r{e.keys * e.width(), 4},
        u{e.width(), 5},
        w{e.width(), 6} {}
  AttentionOperands<T> pointers() const {
    return {q.data(), k.data(), v.data(), r.data(), u.data(), w.data()};
  }
};

struct Results {
  Array<T> out, q, k, v, r, u, w;
  Array<float> log_sums;

  explicit Results(const AttentionExtents& e)
      : out{e.batch * e.queries * e.width()},
        q{e.batch * e.queries * e.width()},
        k{e.batch * e.keys * e.width()},
        v{e.batch * e.keys * e.width()},
        r{e.keys * e.width()},
        u{e.width()},
        w{e.width()},
        log_sums{e.batch * e.heads * e.queries} {}
  AttentionGradients<T> gradients() const {
    return {q.data(), k.data(), v.data(), r.data(), u.data(), w.data()};
  }
};

/// The largest difference over the largest number.
double difference(const Array<T>& a, const Array<T>& b) {
  const auto x = a.values(), y = b.values();
  double largest = 0, most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(y[i])));
    const double d = std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i]));
    most = d <= most ? most : d;
  }
  return most / largest;
}

void row(const char* what, const char* version, const AttentionExtents& e, float taken, double passes,
         double error) {
  const double pairs = static_cast<double>(e.queries) * static_cast<double>(e.keys) -
                       static_cast<double>(e.queries) * static_cast<double>(e.queries - 1) / 2;
  const double operations = passes * 3 * 2 * pairs * static_cast<double>(e.batch * e.width());
  std::printf("%-9s %-8s %6ld %6ld %6ld %10.3f ms %7.1f TFLOP/s %5.1f %%   differs by %.1e%s\n", what,
              version, e.head_width, e.queries, e.keys, taken, operations / taken * 1e-9,
              100 * operations / taken * 1e3 / benchmarks::peak_bf16(), error,
              error <= 3e-2 ? "" : "   TOO MUCH");
}

/// Forward and backward of a layer of training.
bool training(Index batch, Index length, Index heads, Index head_width) {
  const AttentionExtents e{batch, length, length, heads, head_width, heads};
  const Operands x{e};
  const Array<T> dy{batch * length * e.width(), 7};
  const auto in = x.pointers();
  const Results simple{e}, tiled{e};
  const Array<float> products{batch * heads * length};
  const float rows =
      milliseconds([&] { cuda::start_forward_rows(e, in, simple.out.data(), simple.log_sums.data()); });
  const float tiles =
      milliseconds([&] { attention_forward(Cuda{}, e, in, tiled.out.data(), tiled.log_sums.data()); });
  const double forward_error = difference(tiled.out, simple.out);
  row("forward", "rows", e, rows, 1, 0);
  row("forward", "tiles", e, tiles, 1, forward_error);
  const cuda::OutputGradient<T> gradient{tiled.log_sums.data(), products.data(), dy.data()};
  const float tiles_back = milliseconds([&] {
    attention_backward(Cuda{}, e, in, tiled.out.data(), tiled.log_sums.data(), dy.data(), tiled.gradients());
  });
  cuda::launch("products", cuda::attention_output_products<T>,
               cuda::attention_row_grid<float>(batch * heads * length, head_width, 0), e,
               static_cast<const T*>(tiled.out.data()), static_cast<const T*>(dy.data()), products.data());
  const float rows_back =
      milliseconds([&] { cuda::start_backward_rows(e, in, gradient, simple.gradients()); });
  double backward_error = 0;
  for (const auto& [a, b] : {std::pair{&tiled.q, &simple.q},
                             {&tiled.k, &simple.k},
                             {&tiled.v, &simple.v},
                             {&tiled.r, &simple.r},
                             {&tiled.u, &simple.u},
                             {&tiled.w, &simple.w}})
    backward_error = std::max(backward_error, difference(*a, *b));
  row("backward", "rows", e, rows_back, 2, 0);
  row("backward", "tiles", e, tiles_back, 2, backward_error);
  return forward_error <= 3e-2 && backward_error <= 3e-2;
}

/// One query after many keys, and how fast keys, values and positions are read.
bool decoding(Index batch, Index keys, Index heads, Index head_width) {
  const AttentionExtents e{batch, 1, keys, heads, head_width, heads};
  const Operands x{e};
  const auto in = x.pointers();
  const Results simple{e}, tiled{e}, chunked{e};
  const float rows =
      milliseconds([&] { cuda::start_forward_rows(e, in, simple.out.data(), simple.log_sums.data()); });
  const float tiles = milliseconds([&] {
    detail::for_tile_width(head_width, [&]<int Width>() {
      cuda::start_forward_tiles<Width>(e, in, true, tiled.out.data(), tiled.log_sums.data());
    });
  });
  const float chunks =
      milliseconds([&] { attention_forward(Cuda{}, e, in, chunked.out.data(), chunked.log_sums.data()); });
  const double tiles_error = difference(tiled.out, simple.out), error = difference(chunked.out, simple.out);
  row("decoding", "rows", e, rows, 1, 0);
  row("decoding", "tiles", e, tiles, 1, tiles_error);
  row("decoding", "chunks", e, chunks, 1, error);
  const double bytes = static_cast<double>((2 * batch + 1) * keys * e.width()) * sizeof(T);
  std::printf("          chunks read %.0f GB/s\n", bytes / chunks * 1e-6);
  return tiles_error <= 3e-2 && error <= 3e-2;
}

}  // namespace

int main(int argc, char** argv) {
  return benchmarks::exit_code("cuda_attention", [&] {
    const Index batch = argc > 1 ? std::atol(argv[1]) : 4, length = argc > 2 ? std::atol(argv[2]) : 2048;
    cuda::Context::instance();
    std::printf("pass      version   width queries  keys\n");
    bool right = true;
    for (const auto& [heads, head_width] : {std::pair<Index, Index>{16, 32}, {12, 64}, {16, 128}}) {
      right &= training(batch, length, heads, head_width);
      right &= decoding(batch, length, heads, head_width);
    }
    return right ? 0 : 1;
  });
}
