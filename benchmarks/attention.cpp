// Attention forward and backward, for heads of three widths and contexts of several lengths, as shares of the
// processor's arithmetic peak: build/bin/benchmarks/attention [threads [bf16]]. Relative attention runs in
// turns with plain causal attention and with its formula written out in operations of this library, which
// stores arrays of queries x keys. Then one long context after another with their memory, and decoding. First
// bf16 beside fp32; with the word bf16 only that.
#include <chrono>
#include <cstdlib>
#include <iomanip>
#include <iostream>

#include <burrow/burrow.hpp>

#include "benchmarks/side_by_side.hpp"
#include "benchmarks/train_step/peak.hpp"

namespace {

using namespace burrow;
using benchmarks::seconds;

constexpr Index width = 512;

/// The projected operands of one layer, [1, length, width].
template <class T>
struct Operands {
  using Rows = Tensor<T, Shape<1, dyn, width>>;
  Rows q, k, v;
  Tensor<T, Shape<dyn, width>> r;
  Tensor<T, Shape<width>> u, w;

  explicit Operands(Index length)
      : q{rows(1, length)},
        k{rows(2, length)},
        v{rows(3, length)},
        r{cast<T>(normal<Shape<dyn, width>>(Key{4}, Shape<dyn, width>{{length, width}}))},
        u{cast<T>(normal<Shape<width>>(Key{5}))},
        w{cast<T>(normal<Shape<width>>(Key{6}))} {}

  static Rows rows(std::uint64_t key, Index length) {
    return Rows{cast<T>(normal<Shape<1, dyn, width>>(Key{key}, Shape<1, dyn, width>{{1, length, width}}))};
  }
};

/// The same formula in products, a shift and a softmax; operands have an axis of heads, positions fall.
auto written_out(const auto& q, const auto& k, const auto& v, const auto& r, const auto& u, const auto& w) {
  const Index heads = q.shape()[0], length = q.shape()[1];
  const auto content = matmul(q + u, transpose(k));
  const auto by_distance = pad<2, 1, 0>(matmul(q + w, transpose(r)));
  const auto shifted = reshape(by_distance, Shape<dyn, dyn, dyn>{{heads, length + 1, length}});
  const auto position = slice<1>(shifted, 1, length);
  const float scale = 1 / std::sqrt(static_cast<float>(q.shape()[2]));
  const auto seen = lower_triangle(Shape<dyn, dyn>{{length, length}});
  return matmul(softmax(where(seen, (content + position) * scale, -1e30f)), v);
}

/// Seconds of a forward and of a backward pass, each the median of some.
template <class Attention, class Y, class... X>
benchmarks::Times passes(int rounds, const Attention& attention, const Y& dy, const X&... x) {
  std::vector<double> forward, backward;
  for (int round = 0; round <= rounds; ++round) {
    Tape tape;
    const auto inputs = std::tuple{tape.watch(x)...};
    const auto begin = std::chrono::steady_clock::now();
    const auto y = std::apply([&](const auto&... a) { return materialize(attention(a...)); }, inputs);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    const double back = seconds([&] { tape.backward(y, dy); });
    if (round == 0) continue;
    forward.push_back(taken.count());
    backward.push_back(back);
  }
  return {benchmarks::median(forward), benchmarks::median(backward)};
}

/// Products of average length (T + 1) / 2, counted once; the backward pass counts twice the forward one.
double forward_flops(Index length, int products) {
  return products * static_cast<double>(length) * static_cast<double>(length + 1) * width;
}

void row(const char* name, Index length, Index head_width, const benchmarks::Times& t, int products,
         double peak) {
  const double flops = forward_flops(length, products);
  std::cout << std::setw(6) << head_width << std::setw(9) << length << "  " << std::left << std::setw(12)
            << name << std::right << std::setprecision(1) << std::setw(10) << t.first * 1e3 << std::setw(9)
            << flops / t.first * 1e-9 << std::setw(6) << std::setprecision(0) << 100 * flops / t.first / peak
            << '%' << std::setprecision(1) << std::setw(11) << t.second * 1e3 << std::setw(9)
            << 2 * flops / t.second * 1e-9 << std::setw(6) << std::setprecision(0)
            << 200 * flops / t.second / peak << "%\n"
            << std::flush;
}

template <class T>
benchmarks::Times relative_passes(int rounds, const Operands<T>& x, Index heads) {
  return passes(
      rounds, [&](const auto&... a) { return relative_attention(a..., heads); }, x.v, x.q, x.k, x.v, x.r, x.u,
      x.w);
}

void compare(Index length, Index head_width, double peak) {
  const Index heads = width / head_width;
  const Operands<float> x{length};
  const int rounds = length > 4096 ? 1 : 5;
  row("relative", length, head_width, relative_passes(rounds, x, heads), 3, peak);
  row("plain", length, head_width,
      passes(
          rounds, [&](const auto&... a) { return causal_attention(a..., heads); }, x.v, x.q, x.k, x.v),
      2, peak);
  if (length > 2048) return;
  const Shape<dyn, dyn, dyn> split{{heads, length, head_width}};
  const Shape<dyn, 1, dyn> bias{{heads, 1, head_width}};
  const auto q = Tensor(reshape(x.q, split)), k = Tensor(reshape(x.k, split)),
             v = Tensor(reshape(x.v, split)), r = Tensor(reshape(x.r, split));
  const auto u = Tensor(reshape(x.u, bias)), w = Tensor(reshape(x.w, bias));
  row("written out", length, head_width,
      passes(
          2, [](const auto&... a) { return written_out(a...); }, v, q, k, v, r, u, w),
      3, peak);
}

/// One layer's forward and backward pass at a long context, and the most memory in use.
void long_context(Index length, double peak) {
  const Operands<float> x{length};
  const Index before = memory_statistics().bytes_in_use;
  reset_peak_memory();
  const auto t = relative_passes(1, x, width / 32);
  std::cout << std::setw(6) << memory_statistics().peak_bytes_in_use / (Index{1} << 20) - (before >> 20)
            << " MiB";
  row("relative", length, 32, t, 3, peak);
}

/// One token after a cache of `length` ones: bytes of keys, values and positions a second.
template <class T>
void decode(Index length, const char* name) {
  const Operands<T> x{length};
  const Tensor<T, Shape<1, 1, width>> q{cast<T>(normal<Shape<1, 1, width>>(Key{7}))};
  std::vector<double> taken;
  for (int i = 0; i < 21; ++i)
    taken.push_back(seconds([&] { Tensor y(relative_attention(q, x.k, x.v, x.r, x.u, x.w, width / 32)); }));
  const double bytes = 3.0 * static_cast<double>(length * width * Index{sizeof(T)});
  const double t = benchmarks::median(taken);
  std::cout << "one token after " << length << ", " << name << ": " << std::setprecision(2) << t * 1e3
            << " ms, " << std::setprecision(1) << bytes / t * 1e-9 << " GB/s\n";
}

/// bf16, by the matrix unit where there is one and in pairs, beside fp32.
void compare_bf16(Index head_width, double peak) {
  constexpr Index length = 2048;
  const Index heads = width / head_width;
  const auto line = [&]<class T>(const char* name, const Operands<T>& x) {
    row(name, length, head_width, relative_passes(9, x, heads), 3, peak);
  };
  const Operands<bf16> narrow{length};
  if (cpu::detail::amx_permitted()) line("bf16, AMX", narrow);
  {
    const cpu::WithoutAmx pairs;
    line("bf16, pairs", narrow);
  }
  line("fp32", Operands<float>{length});
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) set_threads(std::atoi(arguments[1]));
  const double peak = benchmarks::peak_float32();
  std::cout << std::fixed << std::setprecision(1) << "width " << width << ", fp32, " << threads()
            << " thread(s), peak " << peak * 1e-9 << " GFLOP/s\n"
            << "  head  context  attention    forward ms  GFLOP/s share  backward ms GFLOP/s share\n";
  for (const Index head_width : {32, 64, 128}) compare_bf16(head_width, peak);
  if (count > 2) return 0;
  std::cout << '\n';
  for (const Index head_width : {32, 64, 128})
    for (const Index length : {1024, 2048, 8192}) compare(length, head_width, peak);
  std::cout << "\nmemory beyond the operands\n";
  for (const Index length : {2048, 4096, 8192, 16384}) long_context(length, peak);
  std::cout << "\ndecoding\n";
  for (const Index length : {2048, 16384, 65536}) {
    decode<float>(length, "fp32");
    decode<bf16>(length, "bf16");
  }
}
