// The matrix products of a training step of Gopher 44M at 2048 tokens, forward and both gradients, as shares
// of what the processor's multipliers reach in this run: build/bin/benchmarks/matmul [threads ...].
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <string>

#include <burrow/ops/matmul/cpu.hpp>

#include "benchmarks/side_by_side.hpp"

namespace {

using namespace burrow;
using cpu::Matrix;

/// One product, and how often a step computes it.
struct Product {
  const char* name;
  Index m, n, k;
  bool left_transposed, right_transposed;
  int count;
  double operations() const { return 2.0 * static_cast<double>(m * n) * static_cast<double>(k); }
};

constexpr Index tokens = 2048, width = 512, hidden = 4 * width, vocabulary = 32'000, blocks = 8;

constexpr Product forward_of(const char* name, Index in, Index out, int count) {
  return {name, tokens, out, in, false, false, count};
}
constexpr Product input_of(const char* name, Index in, Index out, int count) {
  return {name, tokens, in, out, false, true, count};
}
constexpr Product weight_of(const char* name, Index in, Index out, int count) {
  return {name, in, out, tokens, true, false, count};
}

constexpr Product products[] = {
    forward_of("q, k, v, o", width, width, 4 * blocks),
    input_of("  by input", width, width, 4 * blocks),
    weight_of("  by weight", width, width, 4 * blocks),
    forward_of("up", width, hidden, blocks),
    input_of("  by input", width, hidden, blocks),
    weight_of("  by weight", width, hidden, blocks),
    forward_of("down", hidden, width, blocks),
    input_of("  by input", hidden, width, blocks),
    weight_of("  by weight", hidden, width, blocks),
    {"logits", tokens, vocabulary, width, false, true, 1},  // the table of embeddings, transposed
    {"  by input", tokens, width, vocabulary, false, false, 1},
    {"  by weight", vocabulary, width, tokens, true, false, 1},
};

/// Sums of products in `chains` registers. A function of its own, as the kernel's tile is.
constexpr Index chains = 12;
template <class T, class P>
[[gnu::noinline]] float multiply_in_registers(Index rounds, P a, P b) {
  P sums[chains];
#pragma GCC unroll 12
  for (Index c = 0; c < chains; ++c) sums[c] = P(static_cast<float>(c));  // unlike, or they would be one
#pragma GCC unroll 1
  for (Index i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (Index c = 0; c < chains; ++c) sums[c] = cpu::detail::multiply_add_words<T>(a, b, sums[c]);
  }
  P total = sums[0];
#pragma GCC unroll 12
  for (Index c = 1; c < chains; ++c) total = total + sums[c];
  return reduce_add(total);
}

/// Sums of products in tiles of the matrix unit.
[[gnu::noinline]] void multiply_in_tiles([[maybe_unused]] Index rounds) {
#ifdef BURROW_WITH_AMX
  const cpu::detail::AmxTiles tiles;
  for (Index i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
#endif
}

/// Operations a second of the multipliers alone, without memory.
template <class T>
double peak(int threads) {
  using P = Packet<compute_type<T>>;
  constexpr Index rounds = 4'000'000;
  const bool tiles = std::same_as<T, bf16> && cpu::detail::amx_permitted();
  const auto run = [tiles](Index) {
    if (tiles) return multiply_in_tiles(rounds);
    volatile float kept = multiply_in_registers<T>(rounds, P(1.0f), P(0.5f));
    static_cast<void>(kept);
  };
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) times.push_back(benchmarks::seconds([&] { parallel_tasks(threads, run); }));
  const Index multiplied = tiles ? 4 * 16 * 16 * 32 : chains * P::size * cpu::detail::elements_per_word<T>;
  const double operations = 2.0 * static_cast<double>(rounds * multiplied);
  return operations * threads / *std::min_element(times.begin(), times.end());
}

/// Times all products of T by one way of multiplying.
template <class T, class Multiply>
void table(const std::string& title, double peak, const Multiply& multiply) {
  const Index size = tokens * vocabulary;
  const Buffer<Cpu> memory{size * Index{2 * sizeof(T) + sizeof(float)}};
  auto* const c = static_cast<float*>(memory.data());
  T* const a = reinterpret_cast<T*>(c + size);
  T* const b = a + size;
  for (Index i = 0; i < size; ++i) {
    a[i] = T(static_cast<float>(i % 7) - 3.0f);
    b[i] = T(static_cast<float>(i % 11) * 0.125f);
  }
  std::cout << title << " (peak " << peak * 1e-9 << " GFLOP/s)\n";
  double operations = 0, seconds = 0;
  for (const Product& p : products) {
    std::vector<double> times;
    for (int i = 0; i < (p.count == 1 ? 3 : 7); ++i)
      times.push_back(benchmarks::seconds([&] { multiply(p, a, b, c); }));
    const double time = benchmarks::median(times), speed = p.operations() / time;
    operations += p.count * p.operations();
    seconds += p.count * time;
    std::cout << "  " << std::left << std::setw(14) << p.name << std::right << std::setw(8) << speed * 1e-9
              << " GFLOP/s " << std::setw(4) << 100 * speed / peak << " %\n";
  }
  std::cout << "  " << std::left << std::setw(14) << "a step" << std::right << std::setw(8)
            << operations / seconds * 1e-9 << " GFLOP/s " << std::setw(4) << 100 * operations / seconds / peak
            << " %\n";
}

template <class T>
void measure(const std::string& name, int count) {
  set_threads(count);
  const std::string threads = ", " + std::to_string(count) + " thread(s)";
  table<T>(
      name + ": " + cpu::matmul_backend<T>() + threads, peak<T>(count),
      [](const Product& p, const T* a, const T* b, float* c) {
        const Matrix<const T> left{a, p.left_transposed ? p.m : p.k, p.left_transposed};
        const Matrix<const T> right{b, p.right_transposed ? p.k : p.n, p.right_transposed};
        if (p.left_transposed)  // a gradient of weights
          cpu::multiply<T>(p.m, p.n, p.k, 1, left, right, cpu::Destination<float>{c, p.n});
        else
          cpu::multiply<T>(p.m, p.n, p.k, 1, left, right, cpu::Destination<T>{reinterpret_cast<T*>(c), p.n});
      });
}

}  // namespace

int main(int count, char** arguments) {
  std::cout << std::fixed << std::setprecision(0);
  std::vector<int> threads;
  for (int i = 1; i < count; ++i) threads.push_back(std::atoi(arguments[i]));
  if (threads.empty()) threads = {1, 2};
  for (const int t : threads) {
    measure<float>("fp32", t);
    measure<bf16>("bf16", t);
  }
}
