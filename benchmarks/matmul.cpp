// The matrix products of a training step of Gopher 44M at 2048 tokens, forward and both gradients, as shares
// of what the processor's multipliers reach in this run, beside Eigen and, where the build has it, oneDNN:
// build/bin/benchmarks/matmul [threads ... | rows], with `rows` a few rows times a matrix in memory.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12's own AVX-512 intrinsics start that way
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <string>

#include <Eigen/Core>
#include <burrow/ops/matmul/cpu.hpp>

#include "benchmarks/side_by_side.hpp"
#include "benchmarks/train_step/peak.hpp"

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

/// The operands of a product, and where it goes: gradients of weights in fp32.
template <class T>
struct Operands {
  Matrix<const T> left, right;
  float* to;

  Operands(const Product& p, const T* a, const T* b, float* c)
      : left{a, p.left_transposed ? p.m : p.k, p.left_transposed},
        right{b, p.right_transposed ? p.k : p.n, p.right_transposed},
        to{c} {}
};

/// As this build multiplies.
template <class T>
void by_build(const Product& p, const Operands<T>& x) {
  if (p.left_transposed)
    cpu::multiply<T>(p.m, p.n, p.k, 1, x.left, x.right, cpu::Destination<float>{x.to, p.n});
  else
    cpu::multiply<T>(p.m, p.n, p.k, 1, x.left, x.right, cpu::Destination<T>{reinterpret_cast<T*>(x.to), p.n});
}

/// By burrow's own kernels.
template <class T>
void by_burrow(const Product& p, const Operands<T>& x) {
#ifdef BURROW_WITH_ONEDNN
  const cpu::WithoutOnednn scope;
#endif
  by_build(p, x);
}

/// By vectors alone.
template <class T>
void by_pairs(const Product& p, const Operands<T>& x) {
  const cpu::WithoutAmx scope;
  by_burrow(p, x);
}

/// Eigen's product, rows or columns of the result shared among our threads.
void by_eigen(const Product& p, const Operands<float>& x) {
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Columns = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic>;
  const auto with_right = [&](const auto& left) {
    const Index pieces = threads(), length = std::max(p.m, p.n);
    parallel_tasks(pieces, [&](Index piece) {
      const Index begin = length * piece / pieces, count = length * (piece + 1) / pieces - begin;
      Eigen::Map<Rows> c(x.to, p.m, p.n);
      const auto put = [&](const auto& right) {
        if (p.m >= p.n)
          c.middleRows(begin, count).noalias() = left.middleRows(begin, count) * right;
        else
          c.middleCols(begin, count).noalias() = left * right.middleCols(begin, count);
      };
      if (p.right_transposed)
        put(Eigen::Map<const Columns>(x.right.data, p.k, p.n));
      else
        put(Eigen::Map<const Rows>(x.right.data, p.k, p.n));
    });
  };
  if (p.left_transposed)
    with_right(Eigen::Map<const Columns>(x.left.data, p.m, p.k));
  else
    with_right(Eigen::Map<const Rows>(x.left.data, p.m, p.k));
}

/// A way of multiplying matrices of T.
template <class T>
struct Way {
  std::string name;
  void (*multiply)(const Product&, const Operands<T>&);
};

/// The ways of this build.
template <class T>
std::vector<Way<T>> ways() {
  std::vector<Way<T>> result{{"burrow", by_burrow<T>}};
#ifdef BURROW_WITH_ONEDNN
  result.push_back({cpu::matmul_backend<T>(), by_build<T>});
#endif
  if (cpu::detail::fits_tiles<T> && cpu::detail::amx_permitted())
    result.push_back({"without AMX", by_pairs<T>});
  if constexpr (std::same_as<T, float>) result.push_back({"Eigen", by_eigen});
  return result;
}

/// Times all products of T, by each way in turns.
template <class T>
void measure(const std::string& name, int count) {
  set_threads(count);
  const Index size = tokens * vocabulary;
  const Buffer<Cpu> memory{size * Index{2 * sizeof(T) + sizeof(float)}};
  auto* const c = static_cast<float*>(memory.data());
  T* const a = reinterpret_cast<T*>(c + size);
  T* const b = a + size;
  for (Index i = 0; i < size; ++i) {
    a[i] = T(static_cast<float>(i % 7) - 3.0f);
    b[i] = T(static_cast<float>(i % 11) * 0.125f);
  }
  const auto all = ways<T>();
  const double most = std::same_as<T, bf16> ? benchmarks::peak_bf16() : benchmarks::peak_float32();
  std::cout << name << ", " << count << " thread(s), " << most * 1e-9 << " GFLOP/s in registers\n"
            << std::setw(16) << "";
  for (const auto& way : all) std::cout << std::setw(16) << way.name;
  std::cout << '\n';
  double operations = 0;
  std::vector<double> seconds(all.size());
  const auto row = [&](const char* title, double work, const std::vector<double>& taken) {
    std::cout << "  " << std::left << std::setw(14) << title << std::right;
    for (const double time : taken)
      std::cout << std::setw(9) << work / time * 1e-9 << std::setw(5) << 100 * work / time / most << " %";
    std::cout << '\n';
  };
  for (const Product& p : products) {
    std::vector<std::vector<double>> times(all.size());
    for (int i = 0; i < (p.count == 1 ? 3 : 9); ++i)
      for (std::size_t w = 0; w < all.size(); ++w)
        times[w].push_back(benchmarks::seconds([&] { all[w].multiply(p, {p, a, b, c}); }));
    std::vector<double> medians;
    for (const auto& of_way : times) medians.push_back(benchmarks::median(of_way));
    row(p.name, p.operations(), medians);
    operations += p.count * p.operations();
    for (std::size_t w = 0; w < all.size(); ++w) seconds[w] += p.count * medians[w];
  }
  row("a step", operations, seconds);
}

/// How fast a few rows read a matrix of 4096 x 4096 from memory, on one thread.
template <class T>
void few_rows(const std::string& name) {
  set_threads(1);
  constexpr Index side = 4096, most = 16, copies = 6;  // in turns, so that caches do not help
  const Buffer<Cpu> memory{(copies * side + 2 * most) * side * Index{sizeof(T)}};
  T* const a = static_cast<T*>(memory.data());
  T* const c = a + most * side;
  T* const b = c + most * side;
  std::fill(a, b + copies * side * side, T(0.5f));
  for (const Index rows : {1, 2, 8, 16}) {
    std::vector<double> times;
    for (Index i = 0; i < 4 * copies; ++i)
      times.push_back(benchmarks::seconds([&] {
        cpu::multiply<T>(rows, side, side, 1, Matrix<const T>{a, side},
                         Matrix<const T>{b + i % copies * side * side, side}, cpu::Destination<T>{c, side});
      }));
    std::cout << name << ", " << std::setw(2) << rows << " row(s): " << std::setw(5) << std::setprecision(1)
              << static_cast<double>(side * side) * sizeof(T) / benchmarks::median(times) * 1e-9 << " GB/s\n";
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::cout << std::fixed << std::setprecision(0);
  if (count == 2 && std::string(arguments[1]) == "rows") {
    few_rows<float>("fp32");
    few_rows<bf16>("bf16");
    return 0;
  }
  std::vector<int> threads;
  for (int i = 1; i < count; ++i) threads.push_back(std::atoi(arguments[i]));
  if (threads.empty()) threads = {1, 2};
  for (const int t : threads) {
    measure<float>("fp32", t);
    measure<bf16>("bf16", t);
  }
}
