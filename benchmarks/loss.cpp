// The loss of a language model's head, from hidden states to the gradients of head and hidden states, with
// all logits in memory and without: build/bin/benchmarks/loss [threads [tokens [width [words]]]].
#include <cstdlib>
#include <iomanip>
#include <iostream>

#include <burrow/nn/layers.hpp>
#include <burrow/ops/linear_cross_entropy/linear_cross_entropy.hpp>
#include <burrow/tensor/create.hpp>

#include "benchmarks/side_by_side.hpp"

namespace {

using namespace burrow;
using benchmarks::seconds;
using Targets = Tensor<std::int32_t, Shape<dyn>>;

template <class Policy>
struct Head {
  Embedding<dyn, dyn, Policy> embedding;
  Parameter<float, Shape<dyn>> bias{init::zeros};

  auto all_logits(const auto& h, const Targets& targets) const {
    return cross_entropy(embedding.scores(h) + cast<typename Policy::compute>(bias), targets);
  }
  auto tiled(const auto& h, const Targets& targets) const {
    return linear_cross_entropy(h, embedding.table, bias, targets);
  }
};

/// Bytes of the pool that a call needs beside what is there before it.
template <class F>
double peak_megabytes(const F& f) {
  reset_peak_memory();
  const Index before = memory_statistics().bytes_in_use;
  f();
  return static_cast<double>(memory_statistics().peak_bytes_in_use - before) / 1e6;
}

template <class First, class Second>
void compare(const char* name, const First& all_logits, const Second& tiled) {
  const double all_peak = peak_megabytes(all_logits), tiled_peak = peak_megabytes(tiled);
  const auto times =
      benchmarks::side_by_side([&] { return seconds(all_logits); }, [&] { return seconds(tiled); }, 5);
  std::cout << std::setw(28) << name << std::fixed << std::setprecision(0) << ": all logits "
            << times.first * 1e3 << " ms, " << all_peak << " MB; tiled " << times.second * 1e3 << " ms, "
            << tiled_peak << " MB; " << std::setprecision(2) << times.first / times.second << " times faster"
            << std::endl;
}

template <class Policy>
void compare_all(const std::string& type, Index tokens, Index width, Index words) {
  using H = Tensor<typename Policy::compute, Shape<dyn, dyn>>;
  Head<Policy> prototype;
  prototype.embedding = Embedding<dyn, dyn, Policy>::sized(words, width);
  prototype.bias = {Shape<dyn>{{words}}, init::zeros};
  const auto head = build(std::move(prototype), Key{0});
  const H h(cast<typename Policy::compute>(normal(Key{1}, Shape<dyn, dyn>{{tokens, width}})));
  Targets targets{Shape<dyn>{{tokens}}};
  for (Index i = 0; i < tokens; ++i) targets.data()[i] = static_cast<std::int32_t>(i * 7919 % words);
  Gradient<Head<Policy>> gradient{head};
  const auto step = [&](const auto& loss) {
    return [&, loss] {
      Tape tape;
      tape.differentiate(parameters(head).store(), gradient.values().data());
      tape.backward(loss(tape.watch(h)).sum * 1e-3f);
    };
  };
  const auto all_logits = [&](const auto& x) { return head.all_logits(x, targets); };
  const auto tiled = [&](const auto& x) { return head.tiled(x, targets); };
  compare((type + ", forward").c_str(), [&] { all_logits(h); }, [&] { tiled(h); });
  compare((type + ", forward and backward").c_str(), step(all_logits), step(tiled));
}

}  // namespace

int main(int count, char** arguments) {
  const auto argument = [&](int i, int otherwise) { return count > i ? std::atoi(arguments[i]) : otherwise; };
  if (count > 1) set_threads(argument(1, 1));
  const Index tokens = argument(2, 2048), width = argument(3, 512), words = argument(4, 32'000);
  std::cout << tokens << " tokens, width " << width << ", " << words << " words, " << threads()
            << " thread(s), products by " << cpu::matmul_backend() << '\n';
  compare_all<Float32<Cpu>>("float32", tokens, width, words);
  compare_all<MixedBf16<Cpu>>("mixed bf16", tokens, width, words);
}
