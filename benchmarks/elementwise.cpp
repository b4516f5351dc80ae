// Fused expressions beside loops written by hand, forward and backward: build/bin/benchmarks/elementwise
// [threads]. The loops use the same packets and functions; what is compared is the way from a formula to a
// loop.
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/indexing.hpp>
#include <burrow/tensor/part.hpp>

#include "benchmarks/side_by_side.hpp"

namespace {

using namespace burrow;
using benchmarks::seconds;
using Vector = Tensor<float, Shape<dyn>>;
using Table = Tensor<float, Shape<dyn, 512>>;
using P = Packet<float>;

void row(const std::string& name, Index bytes, benchmarks::Times fresh, benchmarks::Times there) {
  std::cout << "| " << name << " | " << bytes / 1024 << " KiB | " << std::fixed << std::setprecision(1)
            << static_cast<double>(bytes) / fresh.first / 1e9 << " | " << std::setprecision(2)
            << fresh.second / fresh.first << " | " << there.second / there.first << " |\n";
}

/// The time of evaluating expression() beside that of loop(out): both into new tensors, and both into one
/// that is there.
template <class Formula, class Loop>
void forward(const std::string& name, Index bytes, const Formula& expression, const Loop& loop) {
  auto out = Tensor(expression());
  using Result = decltype(out);
  const auto shape = out.shape();
  const auto fresh = benchmarks::side_by_side([&] { return seconds([&] { out = Result(expression()); }); },
                                              [&] {
                                                return seconds([&] {
                                                  Result result{shape};
                                                  loop(result.data());
                                                  out = std::move(result);
                                                });
                                              });
  const auto there =
      benchmarks::side_by_side([&] { return seconds([&] { part(out, ellipsis) = expression(); }); },
                               [&] { return seconds([&] { loop(out.data()); }); });
  row("forward: " + name, bytes, fresh, there);
}

/// The time that sweep() tells of a tape's sweep, which makes its gradients, beside that of
/// loop(gradients): into what make() makes each time, and into one that is there.
template <class Sweep, class Make, class Loop>
void backward(const std::string& name, Index bytes, const Sweep& sweep, const Make& make, const Loop& loop) {
  auto gradients = make();
  const auto fresh = benchmarks::side_by_side(sweep, [&] {
    std::optional<decltype(gradients)> made;
    return seconds([&] { loop(made.emplace(make())); });
  });
  const auto there = benchmarks::side_by_side(sweep, [&] { return seconds([&] { loop(gradients); }); });
  row("backward: " + name, bytes, fresh, there);
}

/// body(i) for packets at i of [0, count), on all threads.
template <class Body>
void packets(Index count, const Body& body) {
  parallel_for(count / P::size, detail::elementwise_grain / P::size, [&](Index begin, Index end) {
    for (Index i = begin * P::size; i < end * P::size; i += P::size) body(i);
  });
}

void contiguous(Index n) {
  const Vector x = normal(Key{1}, Shape<dyn>{{n}}), y = normal(Key{2}, Shape<dyn>{{n}});
  const float *const a = x.data(), *const b = y.data();
  forward(
      "2x + y", 3 * n * 4, [&] { return x * 2.0f + y; },
      [&](float* out) {
        packets(n, [&](Index i) { (P::load(a + i) * P(2.0f) + P::load(b + i)).store(out + i); });
      });
  forward(
      "gelu(x)", 2 * n * 4, [&] { return gelu(x); },
      [&](float* out) { packets(n, [&](Index i) { functors::Gelu{}(P::load(a + i)).store(out + i); }); });
  backward(
      "sum(tanh(xy)^2 / 2) by x", 3 * n * 4,
      [&] {
        Tape tape;
        const auto watched = tape.watch(x);
        const auto loss = sum(square(tanh(watched * y)) * 0.5f);
        return seconds([&] { tape.backward(loss); });
      },
      [&] { return Vector{x.shape()}; },
      [&](Vector& gradient) {
        float* const out = gradient.data();
        packets(n, [&](Index i) {
          const P factor = P::load(b + i), t = tanh(P::load(a + i) * factor);
          (t * (P(1.0f) - t * t) * factor).store(out + i);
        });
      });
}

void broadcast(Index rows) {
  const Table x = normal(Key{3}, Shape<dyn, 512>{{rows, 512}});
  const auto bias = normal<Shape<512>>(Key{4});
  const float *const a = x.data(), *const b = bias.data();
  const Index bytes = 2 * rows * 512 * 4;
  forward(
      "silu(x + bias)", bytes, [&] { return silu(x + bias); },
      [&](float* out) {
        parallel_for(rows, detail::elementwise_grain / 512, [&](Index begin, Index end) {
          for (Index r = begin; r < end; ++r)
            for (Index j = 0; j < 512; j += P::size)
              functors::Silu{}(P::load(a + r * 512 + j) + P::load(b + j)).store(out + r * 512 + j);
        });
      });
  using Bias = Tensor<float, Shape<512>>;
  backward(
      "sum((x + bias)^2) by x and bias", bytes,
      [&] {
        Tape tape;
        const auto watched = tape.watch(x);
        const auto watched_bias = tape.watch(bias);
        const auto loss = sum(square(watched + watched_bias));
        return seconds([&] { tape.backward(loss); });
      },
      [&] {
        return std::pair<Table, Bias>{Table{x.shape()}, Bias{}};
      },
      [&](std::pair<Table, Bias>& gradients) {
        float* const out = gradients.first.data();
        float* const sums = gradients.second.data();
        std::fill_n(sums, 512, 0.0f);
        for (Index r = 0; r < rows; ++r)
          for (Index j = 0; j < 512; j += P::size) {
            const P slope = P(2.0f) * (P::load(a + r * 512 + j) + P::load(b + j));
            slope.store(out + r * 512 + j);
            (P::load(sums + j) + slope).store(sums + j);
          }
      });
}

void strided(Index rows) {
  const Table x = normal(Key{5}, Shape<dyn, 512>{{rows, 512}}),
              y = normal(Key{6}, Shape<dyn, 512>{{rows, 512}});
  const float *const a = x.data(), *const b = y.data();
  forward(
      "x[:, :256] * y[:, 256:]", 3 * rows * 256 * 4,
      [&] { return slice<1, 256>(x, 0) * slice<1, 256>(y, 256); },
      [&](float* out) {
        parallel_for(rows, detail::elementwise_grain / 256, [&](Index begin, Index end) {
          for (Index r = begin; r < end; ++r)
            for (Index j = 0; j < 256; j += P::size)
              (P::load(a + r * 512 + j) * P::load(b + r * 512 + 256 + j)).store(out + r * 256 + j);
        });
      });
}

}  // namespace

int main(int count, char** arguments) {
  set_threads(count > 1 ? std::atoi(arguments[1]) : 1);
  std::cout << "| " << threads()
            << " thread(s) | memory | GB/s | speed, by hand = 1 | into memory that is there |\n"
            << "|---|---|---|---|---|\n";
  for (const Index n : {Index{1} << 12, Index{1} << 16, Index{1} << 24}) contiguous(n);
  for (const Index rows : {8, 128, 32768}) broadcast(rows);
  for (const Index rows : {8, 128, 32768}) strided(rows);
}
